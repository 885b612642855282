"""How many tokens of a text to read while fine-tuning, where nobody has said it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hub.models.ernie.config import ErnieConfig
from hub.module import Module
from hub.tokenizers import Text
from hub.training.arguments import TrainingArguments

logger = logging.getLogger(__name__)

# What is read where more than this part of the training texts is longer than the default.
_LONGER = 256
_MOST_CUT = 0.05
# Evenly spaced texts of the data that are looked at.
_SAMPLE = 2_000
# What a step with longer texts may keep for its gradients, as `_activations` counts; measured steps
# took up to twice as much, which a small machine has to spare.
_MOST_MEMORY = 4 * 10**9


def fitting_length(
    module: Module, texts: Sequence[Text], long_text: str, arguments: TrainingArguments
) -> int:
    """The tokens to read of each text: `module.max_seq_len`, or 256 where that cuts many.

    The choice follows from the arguments below alone, so that a run goes on, and is repeated,
    elsewhere as it began. Large models keep the default: a step of texts twice
    as long takes more than twice the memory.

    Args:
        module: what is to be trained.
        texts: the training texts.
        long_text: what is done with longer texts: windows read all of them anyway.
        arguments: of the run; those of memory count.
    """
    length = module.max_seq_len
    config = module.config
    if module.length_given or long_text == "window":
        return length
    if not length < _LONGER <= config.max_position_embeddings:
        return length
    rows = arguments.micro_batch_size or arguments.batch_size
    if _activations(config, rows, _LONGER) > _MOST_MEMORY:
        return length
    sample = texts[:: -(-len(texts) // _SAMPLE)]
    encodings = module.tokenizer.encode(list(sample), length)
    cut = sum(encoding.truncated for encoding in encodings) / len(encodings)
    if cut <= _MOST_CUT:
        return length
    logger.warning(
        "%.0f %% of the training texts are longer than %d tokens: %d are read (max_seq_len).",
        100 * cut, length, _LONGER,
    )  # fmt: skip
    return _LONGER


def _activations(config: ErnieConfig, rows: int, tokens: int) -> int:
    """Bytes that the encoder keeps for the gradients of a step, in float32.

    Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models"
    (https://arxiv.org/abs/2205.05198), equation 2, counts `34 h + 5 a s` a token and layer in
    16-bit numbers; these have twice as many bits.
    """
    width, heads = config.hidden_size, config.num_attention_heads
    of_token = 2 * (34 * width + 5 * heads * tokens)
    return rows * tokens * config.num_hidden_layers * of_token
