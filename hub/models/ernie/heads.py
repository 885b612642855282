"""What stands on the encoder for a task."""

from __future__ import annotations

from hub.backend import paddle
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.dropout import Dropout
from hub.models.ernie.modeling import ErnieModel


class ErnieForSequenceClassification(paddle.nn.Layer):
    """One vector of class scores a text: a linear map of the pooled output."""

    def __init__(self, config: ErnieConfig, num_classes: int) -> None:
        super().__init__()
        self.encoder = ErnieModel(config)
        p = config.classifier_dropout
        self.dropout = Dropout(config.hidden_dropout_prob if p is None else p)
        self.classifier = paddle.nn.Linear(config.hidden_size, num_classes)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        attention_mask: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Return the logits, [B, classes]; the arguments are `ErnieModel`'s."""
        _, pooled = self.encoder(input_ids, token_type_ids, attention_mask)
        return self.classifier(self.dropout(pooled))
