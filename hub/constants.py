"""Every environment variable this package reads, and the names of the files it writes."""

from __future__ import annotations

import os

# --- Environment ---------------------------------------------------------------------------------

OFFLINE_VARIABLES = ("HUB_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
DEBUG_VARIABLE = "HUB_DEBUG"
THREADS_VARIABLE = "HUB_NUM_THREADS"


def is_true(value: str | None) -> bool:
    """Read a switch as people write it: 1, true, yes, on, in any case."""
    return (value or "").strip().lower() in {"1", "true", "yes", "on"}


def offline() -> bool:
    """Whether the user forbids the network."""
    return any(is_true(os.environ.get(name)) for name in OFFLINE_VARIABLES)


def debug() -> bool:
    """Whether the user wants tracebacks."""
    return is_true(os.environ.get(DEBUG_VARIABLE))


# --- Files of a model folder ---------------------------------------------------------------------

MANIFEST_FILE = "hub.json"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
VOCABULARY_FILE = "vocab.txt"
CARD_FILE = "README.md"
METRICS_FILE = "metrics.json"
LOG_FILE = "metrics.jsonl"
REPORT_FILE = "report.md"
CHECKPOINT_DIRECTORY = "checkpoint"

# --- Defaults that more than one place needs -----------------------------------------------------

DEFAULT_MODEL = "ernie-pocket-zh"
DEFAULT_MAX_SEQ_LEN = 128
