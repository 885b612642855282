"""The catalogue of models: names, what is known of each, and where its files are."""

from hub.registry.catalogue import (
    ModelEntry,
    find_model,
    known_model,
    list_models,
    search_models,
)

__all__ = ["ModelEntry", "find_model", "known_model", "list_models", "search_models"]
