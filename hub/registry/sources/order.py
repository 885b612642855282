"""Which sources a model is asked of, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from hub.registry.catalogue import ModelEntry, Source
from hub.registry.settings import SOURCE_KINDS, parse_sources, setting
from hub.registry.sources.base import PublicSource
from hub.registry.sources.https import AddressSource
from hub.registry.sources.huggingface import HuggingFaceSource
from hub.registry.sources.modelscope import ModelScopeSource


def source_order() -> list[str]:
    """Kinds of source and mirrors' locations, as the user ordered them."""
    chosen = setting("sources")
    return list(SOURCE_KINDS) if chosen is None else parse_sources(chosen)


def public_sources(entry: ModelEntry) -> Iterator[PublicSource | str]:
    """The sources of a model in the user's order; a mirror is given by its location."""
    for part in source_order():
        if part not in SOURCE_KINDS:
            yield part
        for source in entry.sources:
            if source.kind == part:
                yield _open(source, entry.tokenizer["kind"])


def _open(source: Source, tokenizer_kind: str) -> PublicSource:
    if source.kind == "huggingface":
        return HuggingFaceSource(str(source.repository), source.revision, tokenizer_kind)
    if source.kind == "modelscope":
        return ModelScopeSource(str(source.repository), source.revision, tokenizer_kind)
    files = {name: (file.url, file.expected) for name, file in source.files.items()}
    return AddressSource(source.kind, files)
