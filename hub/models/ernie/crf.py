"""A linear-chain conditional random field over the words of a text (Lafferty et al., 2001)."""

from __future__ import annotations

from hub.backend import paddle

nn = paddle.nn

# Transitions start at zero and have far to go in the few steps of fine-tuning, in which the encoder
# is only adjusted: they learn so much faster than it.
_FASTER = 20.0


class LinearChainCRF(nn.Layer):
    """Scores of tags that follow each other, learned with those of each tag by itself.

    Args:
        num_tags: the number of tags, K.

    Attributes:
        transitions: [K, K], from the tag of the row to that of the column.
        start: [K], for a text's first tag.
        end: [K], for its last.
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()

        def scores(shape: list[int]) -> paddle.Tensor:
            return self.create_parameter(
                shape,
                attr=paddle.ParamAttr(learning_rate=_FASTER),
                default_initializer=nn.initializer.Constant(0.0),
            )

        self.transitions = scores([num_tags, num_tags])
        self.start = scores([num_tags])
        self.end = scores([num_tags])

    def loss(
        self, emissions: paddle.Tensor, tags: paddle.Tensor, mask: paddle.Tensor
    ) -> paddle.Tensor:
        """The negative log-likelihood of the right tags, a mean over all words.

        Args:
            emissions: each tag's own score, [B, W, K].
            tags: the right tags, int64 [B, W]; any number where there is no word.
            mask: 1 for a word and 0 for none, float32 [B, W]; each row begins with a word.
        """
        return (self._partition(emissions, mask) - self._score(emissions, tags, mask)).sum() / (
            mask.sum()
        )

    def _score(
        self, emissions: paddle.Tensor, tags: paddle.Tensor, mask: paddle.Tensor
    ) -> paddle.Tensor:
        """The score of the right tags, [B]."""
        count = emissions.shape[-1]
        hot = nn.functional.one_hot(tags, count) * mask.unsqueeze(-1)  # [B, W, K]
        own = (emissions * hot).sum(axis=[1, 2])
        pairs = paddle.matmul(hot[:, :-1], self.transitions) * hot[:, 1:]
        # The last word is one that no word follows.
        after = paddle.concat([mask[:, 1:], paddle.zeros_like(mask[:, :1])], axis=1)
        last = hot * (mask - after).unsqueeze(-1)
        edges = (hot[:, 0] * self.start).sum(axis=-1) + (last * self.end).sum(axis=[1, 2])
        return own + pairs.sum(axis=[1, 2]) + edges

    def _partition(self, emissions: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        """The logarithm of the sum over all sequences of tags, [B]: the forward algorithm."""
        steps = self.transitions.exp()
        ahead = self.start + emissions[:, 0]  # [B, K]
        for word in range(1, emissions.shape[1]):
            # log(sum_i exp(ahead_i + transition_ij)) as a product of matrices, which is faster.
            top = ahead.max(axis=-1, keepdim=True).detach()
            reached = paddle.matmul((ahead - top).exp(), steps).clip(min=1e-30).log() + top
            here = mask[:, word : word + 1]
            ahead = here * (reached + emissions[:, word]) + (1 - here) * ahead
        return paddle.logsumexp(ahead + self.end, axis=-1)
