"""The ERNIE encoder: embeddings, post-layer-norm transformer layers, pooler.

Shapes: B rows in a batch, T tokens in a row, D hidden size, H attention heads, K the width of
one: D / H, unless heads were taken out.

References: BERT (https://arxiv.org/abs/1810.04805), ERNIE 1.0 (https://arxiv.org/abs/1904.09223).
"""

from __future__ import annotations

from collections.abc import Callable

from hub.backend import paddle
from hub.errors import InputError
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.cpu_layers import LayerNorm, Linear, gelu, softmax
from hub.models.ernie.dropout import Dropout
from hub.models.ernie.recomputation import recomputed

nn = paddle.nn
F = paddle.nn.functional

# Added to the attention scores of padding. After the softmax it is exactly 0 in float32, and it
# still fits into float16.
MASKED_SCORE = -1e4

# A tensor of 64 MB.
_LARGEST_SHAPED_BIAS = 16_000_000

ACTIVATIONS: dict[str, Callable[[paddle.Tensor], paddle.Tensor]] = {
    "gelu": gelu,
    "gelu_new": lambda x: F.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate=True),
    "relu": F.relu,
}


class ErnieEmbeddings(nn.Layer):
    """The sum of word, position, segment and (where the model has it) task-type embeddings."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.use_task_id = config.use_task_id
        if config.use_task_id:
            self.task_type_embeddings = nn.Embedding(config.task_type_vocab_size, width)
        self.layer_norm = LayerNorm(width, epsilon=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: paddle.Tensor, token_type_ids: paddle.Tensor) -> paddle.Tensor:
        """Embed `input_ids` and `token_type_ids`, both [B, T]; the result is [B, T, D]."""
        positions = paddle.arange(paddle.shape(input_ids)[1], dtype="int64")  # [T]
        summed = self.word_embeddings(input_ids) + self.position_embeddings(positions)
        summed = summed + self.token_type_embeddings(token_type_ids)
        if self.use_task_id:
            # Fine-tuning uses task 0 throughout, as the released models do.
            summed = summed + self.task_type_embeddings.weight[0]
        return self.dropout(self.layer_norm(summed))


class SelfAttention(nn.Layer):
    """Multi-head scaled dot-product self-attention (https://arxiv.org/abs/1706.03762)."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.head_size = config.head_size
        inner = config.attention_size
        self.query = Linear(width, inner)
        self.key = Linear(width, inner)
        self.value = Linear(width, inner)
        self.output = Linear(inner, width)
        self.dropout = Dropout(config.attention_probs_dropout_prob)

    def forward(self, x: paddle.Tensor, key_bias: paddle.Tensor | None) -> paddle.Tensor:
        """Attend over `x` [B, T, D].

        `key_bias` [B, 1 or H, 1 or T, T] is 0 for tokens and `MASKED_SCORE` for padding; None is no
        padding.
        """
        heads = [0, 0, self.heads, self.head_size]
        query, key, value = (
            layer(x).reshape(heads) for layer in (self.query, self.key, self.value)
        )  # [B, T, H, K]
        attend = self._attend_fused if _has_fused_attention(x) else self._attend
        context = attend(query, key, value, key_bias)
        return self.output(context.reshape([0, 0, self.heads * self.head_size]))

    def _attend(
        self,
        query: paddle.Tensor,
        key: paddle.Tensor,
        value: paddle.Tensor,
        key_bias: paddle.Tensor | None,
    ) -> paddle.Tensor:
        """Attention in plain operators, which every exported graph and the CPU run."""
        query, key, value = (x.transpose([0, 2, 1, 3]) for x in (query, key, value))  # [B, H, T, K]
        scores = paddle.matmul(query * self.head_size**-0.5, key, transpose_y=True)
        if key_bias is not None:
            scores = scores + key_bias
        weights = self.dropout(softmax(scores))  # [B, H, T, T]
        return paddle.matmul(weights, value).transpose([0, 2, 1, 3])

    def _attend_fused(
        self,
        query: paddle.Tensor,
        key: paddle.Tensor,
        value: paddle.Tensor,
        key_bias: paddle.Tensor | None,
    ) -> paddle.Tensor:
        """Attention in one kernel, without a [B, H, T, T] tensor in memory."""
        length = query.shape[1]
        mask = None
        if key_bias is not None:
            mask = key_bias.expand([-1, 1, length, length]).astype(query.dtype)
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout.p if self.training else 0.0,
            training=self.training,
        )


def _has_fused_attention(x: paddle.Tensor) -> bool:
    """Whether the device has a kernel of its own; Paddle's for the CPU is the plain operators."""
    return paddle.in_dynamic_mode() and x.place.is_gpu_place()


class FeedForward(nn.Layer):
    """Two linear maps with an activation between them."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.intermediate = Linear(config.hidden_size, config.intermediate_size)
        self.output = Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [B, T, D] to [B, T, D]."""
        return self.output(self.activation(self.intermediate(x)))


class ErnieLayer(nn.Layer):
    """One transformer layer; each half is followed by dropout, a residual sum and a layer norm."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.output_norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: paddle.Tensor, key_bias: paddle.Tensor | None) -> paddle.Tensor:
        """Map `x` [B, T, D] to [B, T, D]; `key_bias` as in `SelfAttention`."""
        x = self.attention_norm(x + self.dropout(self.attention(x, key_bias)))
        return self.output_norm(x + self.dropout(self.feed_forward(x)))


class ErniePooler(nn.Layer):
    """A dense layer with tanh over the first token, [CLS]."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, sequence_output: paddle.Tensor) -> paddle.Tensor:
        """Pool `sequence_output` [B, T, D] into [B, D]."""
        return paddle.tanh(self.dense(sequence_output[:, 0]))


def _key_bias(attention_mask: paddle.Tensor, hidden: paddle.Tensor) -> paddle.Tensor:
    """What `SelfAttention` adds to the scores, [B, 1, 1, T]."""
    return ((1.0 - attention_mask.astype(hidden.dtype)) * MASKED_SCORE).unsqueeze([1, 2])


@paddle.jit.not_to_static
def _shaped_key_bias(
    attention_mask: paddle.Tensor, hidden: paddle.Tensor, heads: int
) -> paddle.Tensor | None:
    """The same; on the CPU None where it is all zeros, and else in the scores' shape.

    Paddle's CPU kernels add tensors of one shape many times faster than others; it is shaped once
    for all layers. Other devices are not asked what the mask holds: they would be waited for.
    """
    if not hidden.place.is_cpu_place():
        return _key_bias(attention_mask, hidden)
    if bool(attention_mask.all()):
        return None
    key_bias = _key_bias(attention_mask, hidden)
    rows, length = attention_mask.shape
    if rows * heads * length * length <= _LARGEST_SHAPED_BIAS:
        return key_bias.expand([rows, heads, length, length]).contiguous()
    return key_bias


@paddle.jit.not_to_static
def _check_length(input_ids: paddle.Tensor, limit: int) -> None:
    """See that every token has a position; while a graph is traced their number is not known."""
    if paddle.in_dynamic_mode() and input_ids.shape[1] > limit:
        raise InputError(
            f"{input_ids.shape[1]} tokens were given to a model that takes {limit} at most."
        )


class ErnieModel(nn.Layer):
    """The encoder: token ids in, one vector a token and one vector a text out.

    Attributes:
        recompute: while training, keep no layer's inner tensors but compute them again for the
            gradients (https://arxiv.org/abs/1604.06174): less memory, more time
            (14 % in docs/performance.md).
    """

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = ErnieEmbeddings(config)
        self.layers = nn.LayerList([ErnieLayer(config) for _ in range(config.num_hidden_layers)])
        self.pooler = ErniePooler(config)
        self.recompute = False

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Encode a batch.

        Args:
            input_ids: int64 [B, T].
            token_type_ids: int64 [B, T], the segment of each token; zeros if left out.
            attention_mask: int64 [B, T], 1 for tokens and 0 for padding; if left out, padding is
                where `input_ids` is the configuration's `pad_token_id`.

        Returns:
            The sequence output [B, T, D] and the pooled output [B, D].

        Raises:
            InputError: T is more than the model has positions.
        """
        _check_length(input_ids, self.config.max_position_embeddings)
        if token_type_ids is None:
            token_type_ids = paddle.zeros_like(input_ids)
        if attention_mask is None:
            attention_mask = self.mask_of(input_ids)
        hidden = self.embeddings(input_ids, token_type_ids)
        if paddle.in_dynamic_mode():
            key_bias = _shaped_key_bias(attention_mask, hidden, self.config.num_attention_heads)
        else:
            key_bias = _key_bias(attention_mask, hidden)
        for layer in self.layers:
            if self.recompute and self.training:
                hidden = recomputed(layer, hidden, key_bias)
            else:
                hidden = layer(hidden, key_bias)
        return hidden, self.pooler(hidden)

    def mask_of(self, input_ids: paddle.Tensor) -> paddle.Tensor:
        """The attention mask of `input_ids` [B, T] that none was given for: padding by its id."""
        return (input_ids != self.config.pad_token_id).astype("int64")
