"""Every environment variable this package reads, and the names of the files it writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# --- Environment ---------------------------------------------------------------------------------

OFFLINE_VARIABLES = ("HUB_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
DEBUG_VARIABLE = "HUB_DEBUG"
THREADS_VARIABLE = "HUB_NUM_THREADS"
# Set by `paddle.distributed.launch` for the processes that it starts.
WORKER_COUNT_VARIABLE = "PADDLE_TRAINERS_NUM"
# Where models, unfinished downloads, locks and settings are kept.
HOME_VARIABLE = "HUB_HOME"
# A folder of data sets that are known by name, one folder each.
DATASETS_VARIABLE = "HUB_DATASETS_DIR"
# The sources of models in the order to try them, separated by commas.
SOURCES_VARIABLE = "HUB_SOURCES"
# The team's own catalogue: a folder, an https:// or an object store's address; and its token.
CATALOGUE_VARIABLE = "HUB_CATALOGUE"
TOKEN_VARIABLE = "HUB_TOKEN"
# Seconds without a byte after which a connection is given up.
TIMEOUT_VARIABLE = "HUB_TIMEOUT_S"
PROGRESS_VARIABLE = "HUB_PROGRESS"
HF_ENDPOINT_VARIABLE = "HF_ENDPOINT"
# The second is the older name.
MODELSCOPE_ENDPOINT_VARIABLES = ("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN")
MODELSCOPE_TOKEN_VARIABLE = "MODELSCOPE_API_TOKEN"


def is_true(value: str | None) -> bool:
    """Read a switch as people write it: 1, true, yes, on, in any case."""
    return (value or "").strip().lower() in {"1", "true", "yes", "on"}


def offline() -> bool:
    """Whether the user forbids the network."""
    return any(is_true(os.environ.get(name)) for name in OFFLINE_VARIABLES)


def home() -> Path:
    """The folder of everything this package keeps between runs: `HUB_HOME`."""
    if chosen := os.environ.get(HOME_VARIABLE):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "ernie-hub"


def datasets_directories() -> list[Path]:
    """Where data sets known by name are looked for; the last is where they are fetched to."""
    chosen = os.environ.get(DATASETS_VARIABLE)
    return [*([Path(chosen).expanduser()] if chosen else []), home() / "datasets"]


def encoded_directory() -> Path:
    """Where encoded texts are kept for the next run."""
    return home() / "encoded"


def timeout_s() -> float:
    """Seconds without a byte after which a connection is given up."""
    try:
        return max(0.1, float(os.environ.get(TIMEOUT_VARIABLE, "")))
    except ValueError:
        return 30.0


def show_progress() -> bool:
    """Whether progress bars are wanted; they also need a terminal."""
    value = os.environ.get(PROGRESS_VARIABLE)
    return value is None or is_true(value)


def progress_interval_s() -> float:
    """Seconds between two refreshes of a progress bar.

    Without a terminal every refresh is a line in somebody's log.
    """
    return 0.2 if sys.stderr.isatty() else 15.0


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
SENTENCEPIECE_FILE = "spm_cased_simp_sampled.model"
# ernie-tiny's word dictionary: as it is published (a pickle), and as it is kept.
PUBLISHED_WORDS_FILE = "dict.wordseg.pickle"
WORDS_FILE = "word_dict.json"
CARD_FILE = "README.md"
METRICS_FILE = "metrics.json"
LOG_FILE = "metrics.jsonl"
# Of a run in progress, and of `hub.Trainer` with a `checkpoint_dir`: the best epoch's weights.
BEST_WEIGHTS_FILE = "best.safetensors"
# How a model was made smaller, step by step.
COMPRESSION_FILE = "compression.json"
REPORT_FILE = "report.md"
CURVE_FILE = "learning_curve.png"
MATRIX_FILE = "confusion_matrix.png"
PRETRAINING_CURVE_FILE = "pretraining.png"
# Texts and the answers that a model must give before it is served.
GOLDEN_FILE = "golden.json"
# What is for people, or for whoever serves a model: it travels along, though a model works without.
FILES_BESIDE = (CARD_FILE, METRICS_FILE, LOG_FILE, REPORT_FILE, GOLDEN_FILE)
CHECKPOINT_DIRECTORY = "checkpoint"
# The search that a model folder is the result of.
TUNING_DIRECTORY = "tuning"
# What the trackers of a run keep beside it.
TRACKING_DIRECTORY = "logs"

# --- Defaults that more than one place needs -----------------------------------------------------

DEFAULT_MODEL = "ernie-pocket-zh"
DEFAULT_MAX_SEQ_LEN = 128
# From as many rows on, a data set is kept in columns, and its encoded texts on the disk.
MANY_ROWS = 20_000
# The encoded texts of all data sets, on the disk.
ENCODED_BYTES = 5_000_000_000
