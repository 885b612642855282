"""A text as one vector, for search, clustering and deduplication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.errors import InputError
from hub.tasks.base import AnswerOptions, Task
from hub.tasks.passages import Passage
from hub.tokenizers import Tokenizer
from hub.tokenizers.windows import Window, owned
from hub.wording import must_be_one_of

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig

# How the vectors of a text's tokens become one.
POOLING = ("mean", "cls")


class SentenceEmbedding(Task):
    """One vector a text, from the encoder's last layer. It needs no head and no training.

    Args:
        labels: none.
        pooling: "mean", over all tokens that are read, `[CLS]` and `[SEP]` among them, as
            sentence-transformers (https://arxiv.org/abs/1908.10084) takes it; or "cls", the vector
            of `[CLS]`.
        normalize: divide each vector by its length, so that a dot product is the cosine. The
            network does it: an exported graph gives the same.

    Raises:
        InputError: labels were given, or an option is none of these.
    """

    name: ClassVar[str] = "sentence-embedding"
    title: ClassVar[str] = "sentence encoder"
    pipeline: ClassVar[str] = "feature-extraction"
    architecture: ClassVar[str] = "Model"
    takes_labels: ClassVar[bool] = False

    def __init__(
        self,
        labels: Sequence[str] = (),
        pooling: str = "mean",
        normalize: bool = False,
        **options: Any,
    ) -> None:
        if labels:
            raise InputError(f"{self.name} answers with vectors: it takes no labels.")
        super().__init__(labels, **options)
        if pooling not in POOLING:
            raise InputError(must_be_one_of("pooling", POOLING, pooling))
        if not isinstance(normalize, bool):
            raise InputError(f"normalize is True or False, not {normalize!r}.")
        self.pooling = pooling
        self.normalize = normalize

    @property
    def options(self) -> dict[str, Any]:
        """The pooling, and whether vectors are normalised."""
        return {"pooling": self.pooling, "normalize": self.normalize}

    @property
    def structure(self) -> dict[str, Any]:
        """The same: nothing is learned."""
        return self.options

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder, with the pooling on it."""
        from hub.models.ernie.heads import ErnieForSentenceEmbedding

        return ErnieForSentenceEmbedding(config, self.pooling, self.normalize)

    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """The mean of the windows' vectors [D], each weighing as many tokens as count in it.

        It is normalised again if the windows' vectors are.
        """
        weights = [len(numbers) for numbers in owned(windows)]
        mean = np.average(np.stack(outputs).astype(np.float64), axis=0, weights=weights)
        if self.normalize:
            mean /= max(float(np.linalg.norm(mean)), 1e-12)
        return mean.astype(np.float32)

    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """A vector a text, float32 [D].

        Raises:
            InputError: probabilities or the best of several answers are asked for.
        """
        if options.probabilities or options.top_k is not None:
            raise InputError(
                f"{self.name} answers with one vector a text: it has no probabilities and no top_k."
            )
        return [np.asarray(output, np.float32) for output in outputs]
