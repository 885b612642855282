"""The shape of an ERNIE or BERT encoder, in the terms of Hugging Face's `config.json`."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.constants import CONFIG_FILE
from hub.errors import ModelError

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
MODEL_TYPES = ("ernie", "bert")
POOLINGS = ("cls", "mean")
# Behind the `model_type` of a fine-tuned classifier that reads the mean: transformers would read
# the first token and answer wrongly; a type that it does not know makes it say so.
MEAN_POOLING_SUFFIX = "-mean-pooling"
_COUNTS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size", "task_type_vocab_size",
)  # fmt: skip
# Numbers from 0, and what they are below.
_BELOW = {
    "layer_norm_eps": math.inf, "initializer_range": math.inf, "hidden_dropout_prob": 1,
    "attention_probs_dropout_prob": 1, "classifier_dropout": 1,
}  # fmt: skip


@dataclass(frozen=True)
class ErnieConfig:
    """Shape and regularisation of an encoder.

    The defaults are ERNIE 1.0's shape, with the epsilon of 1e-12 that PaddleNLP sets by default.

    ERNIE 1.0 (https://arxiv.org/abs/1904.09223) is BERT's encoder
    (https://arxiv.org/abs/1810.04805); ERNIE 3.0's small models add an embedding for the task type.
    `head_dim` is the width of an attention head where heads were taken out, and together they are
    narrower than the hidden state. `classifier_pooling` says what a classifier of texts reads:
    "cls", the first token through the pooler, or "mean", the mean over all tokens.
    """

    model_type: str = "ernie"
    # shape
    vocab_size: int = 18000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 513
    type_vocab_size: int = 2
    task_type_vocab_size: int = 3
    use_task_id: bool = False
    head_dim: int | None = None
    classifier_pooling: str = "cls"
    # arithmetic
    hidden_act: str = "relu"
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    # training
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ModelError(f"{name} is {value!r}; it must be a whole number from 1.")
        for name, end in _BELOW.items():
            value = getattr(self, name)
            if value is None and name == "classifier_dropout":
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value < end:
                below = "" if end == math.inf else f" below {end}"
                raise ModelError(f"{name} is {value!r}; it must be a number from 0{below}.")
        if self.model_type not in MODEL_TYPES:
            raise ModelError(
                f"model_type is {self.model_type!r}; supported are {', '.join(MODEL_TYPES)}."
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ModelError(
                f"hidden_act is {self.hidden_act!r}; supported are {', '.join(ACTIVATIONS)}."
            )
        if self.classifier_pooling not in POOLINGS:
            raise ModelError(
                f"classifier_pooling is {self.classifier_pooling!r}; supported are "
                f"{', '.join(POOLINGS)}."
            )
        if not isinstance(self.pad_token_id, int) or self.pad_token_id < 0:
            raise ModelError(
                f"pad_token_id is {self.pad_token_id!r}; it must be a whole number from 0."
            )
        width = self.head_dim
        if width is not None and (not isinstance(width, int) or width < 1):
            raise ModelError(f"head_dim is {width!r}; it must be a whole number from 1.")
        if width is None and self.hidden_size % self.num_attention_heads:
            raise ModelError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}."
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def attention_size(self) -> int:
        """Width of all attention heads together."""
        return self.num_attention_heads * self.head_size

    @property
    def parameter_count(self) -> int:
        """How many numbers the encoder with its pooler learns."""
        width, wide = self.hidden_size, self.intermediate_size
        rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size
        if self.use_task_id:
            rows += self.task_type_vocab_size
        norm, square = 2 * width, width * width + width  # a layer norm; a linear map with its bias
        feed_forward = 2 * width * wide + wide + width
        inner = self.attention_size
        attention = 4 * width * inner + 3 * inner + width
        layer = attention + feed_forward + 2 * norm
        return rows * width + norm + self.num_hidden_layers * layer + square

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ErnieConfig:
        """Take what describes the encoder from a Hugging Face configuration; leave the rest.

        Raises:
            ModelError: the configuration is of another architecture, or malformed.
        """
        position_type = values.get("position_embedding_type", "absolute")
        if position_type != "absolute":
            raise ModelError(
                f"position_embedding_type is {position_type!r}; only 'absolute' is supported."
            )
        known = {field.name for field in dataclasses.fields(cls)}
        chosen = {name: value for name, value in values.items() if name in known}
        kind = chosen.get("model_type")
        if isinstance(kind, str) and kind.endswith(MEAN_POOLING_SUFFIX):
            chosen["model_type"] = kind.removesuffix(MEAN_POOLING_SUFFIX)
            chosen["classifier_pooling"] = "mean"
        named = [t for t in MODEL_TYPES if network_name(values).lower().startswith(t)]
        if kind is None and named:
            chosen["model_type"] = named[0]
        if chosen.get("pad_token_id", 0) is None:
            del chosen["pad_token_id"]  # it says nothing
        width = chosen.get("hidden_size")
        if "intermediate_size" not in chosen and isinstance(width, int):
            chosen["intermediate_size"] = 4 * width
        return cls(**chosen)

    @classmethod
    def from_file(cls, path: Path) -> ErnieConfig:
        """Read `config.json`.

        Raises:
            ModelError: the file is missing, is not JSON, or describes something else.
        """
        return cls.from_dict(read_config(path))

    def to_dict(self) -> dict[str, Any]:
        """The fields as Hugging Face writes them."""
        values = dataclasses.asdict(self)
        # What transformers knows nothing of is left out where it says nothing.
        if self.head_dim is None:
            del values["head_dim"]
        if self.classifier_pooling == "cls":
            del values["classifier_pooling"]
        return values


def network_name(values: dict[str, Any]) -> str:
    """What a configuration calls its network, such as `BertForMaskedLM`; "" if it does not say."""
    names = values.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def read_config(path: Path) -> dict[str, Any]:
    """Read the `config.json` at `path` whole, with the entries that are not the encoder's.

    Raises:
        ModelError: the file is missing or is not a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} is not a model folder: it has no {CONFIG_FILE}.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} does not hold a JSON object.")
    return values
