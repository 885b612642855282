"""What stands on the encoder: for a task, or for pretraining."""

from __future__ import annotations

from hub.backend import paddle
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.cpu_layers import LayerNorm, Linear, tied_logits
from hub.models.ernie.crf import LinearChainCRF
from hub.models.ernie.dropout import Dropout
from hub.models.ernie.modeling import ACTIVATIONS, ErnieModel

nn = paddle.nn


def _head_dropout(config: ErnieConfig) -> Dropout:
    p = config.classifier_dropout
    return Dropout(config.hidden_dropout_prob if p is None else p)


def mean_over_tokens(sequence: paddle.Tensor, attention_mask: paddle.Tensor) -> paddle.Tensor:
    """The mean over a row's tokens, padding left out, of `sequence` [B, T, D]: [B, D]."""
    counted = attention_mask.astype(sequence.dtype).unsqueeze(-1)  # [B, T, 1]
    # A row of padding alone has the vector 0.
    return (sequence * counted).sum(axis=1) / counted.sum(axis=1).clip(min=1.0)


class TextEncoder(nn.Layer):
    """An encoder, and of each text the one vector that classifiers read."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.encoder = ErnieModel(config)
        self.pools_by_mean = config.classifier_pooling == "mean"

    def encode(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None,
        attention_mask: paddle.Tensor | None,
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The sequence output [B, T, D] and the pooled output [B, D]; see `ErnieModel`."""
        if attention_mask is None:
            attention_mask = self.encoder.mask_of(input_ids)
        sequence, pooled = self.encoder(input_ids, token_type_ids, attention_mask)
        if self.pools_by_mean:
            pooled = mean_over_tokens(sequence, attention_mask)
        return sequence, pooled


class ErnieForSequenceClassification(TextEncoder):
    """One vector of class scores a text: a linear map of the pooled output."""

    def __init__(self, config: ErnieConfig, num_classes: int) -> None:
        super().__init__(config)
        self.dropout = _head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, num_classes)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Return the logits, [B, classes]; the arguments are `ErnieModel`'s."""
        _, pooled = self.encode(input_ids, token_type_ids, attention_mask)
        return self.classifier(self.dropout(pooled))


class ErnieForTokenClassification(nn.Layer):
    """One vector of tag scores a token: a linear map of the sequence output.

    With `crf` it also holds the scores of tags that follow each other, which the loss and the
    decoding of tags need, and `forward` does not.
    """

    def __init__(self, config: ErnieConfig, num_classes: int, crf: bool = False) -> None:
        super().__init__()
        self.encoder = ErnieModel(config)
        self.dropout = _head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, num_classes)
        self.crf = LinearChainCRF(num_classes) if crf else None

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Return the logits, [B, T, tags]; the arguments are `ErnieModel`'s."""
        sequence, _ = self.encoder(input_ids, token_type_ids, attention_mask)
        return self.classifier(self.dropout(sequence))


class ErnieForIntentSlots(TextEncoder):
    """A text's intent from its pooled output and a tag a token from the sequence output."""

    def __init__(
        self, config: ErnieConfig, num_intents: int, num_tags: int, crf: bool = False
    ) -> None:
        super().__init__(config)
        self.dropout = _head_dropout(config)
        self.intent_classifier = nn.Linear(config.hidden_size, num_intents)
        self.slot_classifier = nn.Linear(config.hidden_size, num_tags)
        self.crf = LinearChainCRF(num_tags) if crf else None

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Return one tensor of both, [B, T, tags + intents]; the arguments are `ErnieModel`'s.

        The first `tags` columns are each token's tag scores. The others are the text's intent
        scores, the same for all of its tokens.
        """
        sequence, pooled = self.encode(input_ids, token_type_ids, attention_mask)
        tags = self.slot_classifier(self.dropout(sequence))
        intents = self.intent_classifier(self.dropout(pooled)).unsqueeze(1)
        return paddle.concat([tags, intents + paddle.zeros_like(tags[:, :, :1])], axis=-1)


class ErnieForSentenceEmbedding(nn.Layer):
    """One vector a text, from the vectors of its tokens.

    Args:
        config: the encoder's shape.
        pooling: "mean" over the tokens, or "cls", the first token's.
        normalize: divide each vector by its length.
        encoder: take this encoder, and share its weights, instead of a new one.
    """

    def __init__(
        self,
        config: ErnieConfig,
        pooling: str = "mean",
        normalize: bool = False,
        encoder: ErnieModel | None = None,
    ) -> None:
        super().__init__()
        self.encoder = ErnieModel(config) if encoder is None else encoder
        self.pooling = pooling
        self.normalize = normalize

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Return the vectors, [B, D]; the arguments are `ErnieModel`'s."""
        if attention_mask is None:
            attention_mask = self.encoder.mask_of(input_ids)
        sequence, _ = self.encoder(input_ids, token_type_ids, attention_mask)
        if self.pooling == "cls":
            pooled = sequence[:, 0]
        else:
            pooled = mean_over_tokens(sequence, attention_mask)
        return nn.functional.normalize(pooled, axis=-1) if self.normalize else pooled


class PredictionTransform(nn.Layer):
    """A dense layer, the encoder's activation and a layer norm, before the vocabulary."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.layer_norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [..., D] to [..., D]."""
        return self.layer_norm(self.activation(self.dense(x)))


class PredictionHead(nn.Layer):
    """A score for every entry of the vocabulary, by the likeness to its embedding."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.transform = PredictionTransform(config)
        self.bias = self.create_parameter([config.vocab_size], is_bias=True)

    def forward(self, x: paddle.Tensor, embeddings: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [..., D] to the logits [..., V], with the word embeddings [V, D] as weights."""
        return tied_logits(self.transform(x), embeddings, self.bias)


class PretrainingHeads(nn.Layer):
    """The masked language model's head, and where the model has it the one for sentence pairs."""

    def __init__(self, config: ErnieConfig, sentence_pairs: bool) -> None:
        super().__init__()
        self.predictions = PredictionHead(config)
        if sentence_pairs:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)


class ErnieForMaskedLM(nn.Layer):
    """What could stand at a position, as scores over the vocabulary.

    The weights of the last map are the word embeddings themselves
    (https://arxiv.org/abs/1608.05859).
    """

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.encoder = ErnieModel(config)
        self.cls = PretrainingHeads(config, sentence_pairs=False)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
        positions: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Return the logits of every token, or of some of them.

        Args:
            input_ids, token_type_ids, attention_mask: those of `ErnieModel`.
            positions: int64 [N], numbers of tokens in the batch read row by row (row * T + place):
                only these are computed.

        Returns:
            The logits, [B, T, V], or [N, V] for `positions`.
        """
        sequence, _ = self.encoder(input_ids, token_type_ids, attention_mask)
        if positions is not None:
            sequence = paddle.gather(sequence.flatten(0, 1), positions)
        return self.cls.predictions(sequence, self.encoder.embeddings.word_embeddings.weight)


class ErnieForPreTraining(nn.Layer):
    """The masked language model, and whether the second sentence belongs to the first.

    BERT learns whether it follows (https://arxiv.org/abs/1810.04805); ERNIE 1.0 whether two turns
    of a dialogue are real (https://arxiv.org/abs/1904.09223).
    """

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.encoder = ErnieModel(config)
        self.cls = PretrainingHeads(config, sentence_pairs=True)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Return the logits of every token, [B, T, V], and of the pair, [B, 2].

        The arguments are `ErnieModel`'s. Of the pair's two classes 0 says that the sentences belong
        together.
        """
        sequence, pooled = self.encoder(input_ids, token_type_ids, attention_mask)
        scores = self.cls.predictions(sequence, self.encoder.embeddings.word_embeddings.weight)
        return scores, self.cls.seq_relationship(pooled)
