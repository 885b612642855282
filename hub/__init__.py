"""From a name to a Chinese-language service: pretrained ERNIE models, fine-tuned and run.

`import hub` loads nothing heavy: each public name brings in what it needs on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub import datasets
    from hub.data import load_dataset
    from hub.inference.exporting import export_module
    from hub.inference.predictor import Predictor
    from hub.module import Module
    from hub.registry import list_models
    from hub.training.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "Module",
    "Predictor",
    "Trainer",
    "__version__",
    "datasets",
    "export_module",
    "list_models",
    "load_dataset",
]

_HOME_OF = {
    "Module": "hub.module",
    "Predictor": "hub.inference.predictor",
    "Trainer": "hub.training.trainer",
    "export_module": "hub.inference.exporting",
    "list_models": "hub.registry",
    "load_dataset": "hub.data",
}


def __getattr__(name: str) -> Any:
    if name == "datasets":  # a module itself
        return import_module("hub.datasets")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hub' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
