"""`hub list`, `hub search` and `hub show`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import click

from hub.cli.output import json_option, print_json, print_table, say
from hub.cli.parameters import ModelName
from hub.files import readable_size
from hub.registry import ModelEntry, find_model, known_model, list_models, search_models
from hub.registry.names import Reference, parse_reference
from hub.registry.store import Store, StoredModel, folder_size


@click.command("list")
@click.argument("pattern", required=False)
@click.option("--here", is_flag=True, help="Only what is on this machine, a team's models too.")
@json_option
def list_command(pattern: str | None, here: bool, as_json: bool) -> None:
    """List the models known by name, or those that match PATTERN.

    \b
    Examples:
      hub list
      hub list "ernie-3.0-*"
      hub list --here
    """
    entries = list_models(pattern)
    if pattern is not None and not entries and not as_json:
        say(f"No name matches {pattern!r}. `hub search` looks into descriptions as well.")
        return
    _print(entries, as_json, here)


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@json_option
def search_command(words: tuple[str, ...], as_json: bool) -> None:
    """List the models whose name or description holds all WORDS."""
    found = search_models(" ".join(words))
    if not found and not as_json:
        say(f"No model matches {' '.join(words)!r}. `hub list` shows all.")
        return
    _print(found, as_json, False)


@click.command("show")
@click.argument("name", type=ModelName())
@json_option
def show_command(name: str, as_json: bool) -> None:
    """Show all that is known of the model NAME."""
    reference = parse_reference(name)
    if known_model(reference.name) is None and Store().versions(reference.name):
        _show_team(reference, as_json)
        return
    entry = find_model(reference.given, reference.version)
    stored = Store().find(entry.name, entry.version)
    if as_json:
        print_json({**entry.to_dict(), "installed": _is_here(entry)})
        return
    shape = entry.architecture
    facts = {
        "name": entry.name,
        "also": ", ".join(entry.aliases),
        "version": entry.version,
        "what it is": entry.summary,
        "pretrained": "yes" if entry.pretrained else "NO: random weights",
        "trained on": entry.trained_on,
        "shape": (
            f"{shape['num_hidden_layers']} layers, hidden {shape['hidden_size']}, "
            f"{shape['num_attention_heads']} heads, feed-forward {shape['intermediate_size']}, "
            f"vocabulary {shape['vocab_size']:,}, {shape['max_position_embeddings']} positions"
        ),
        "parameters": f"{entry.parameters:,}",
        "tokenizer": ", ".join(f"{key} {value}" for key, value in entry.tokenizer.items()),
        "licence": entry.licence,
        "fine-tuning": ", ".join(f"{key} {value}" for key, value in entry.finetuning.items()),
        "here": str(stored.folder) if stored else "in the package" if entry.folder else "no",
        "sources": "\n".join(_sources(entry)),
        "scores": "\n".join(_scores(entry)) or "none published",
    }
    _print_facts(facts)


def _show_team(reference: Reference, as_json: bool) -> None:
    from hub.models.installation import find_stored, not_here

    name, store = reference.name, Store()
    versions = [store.get(name, version) for version in store.versions(name)]
    aliases = store.aliases(name)
    if reference.version is not None:
        if (stored := find_stored(reference, store)) is None:
            raise not_here(reference, store)
        versions = [stored]
        aliases = {k: version for k, version in aliases.items() if version == stored.version}
    if as_json:
        facts = {"name": name, "aliases": aliases, "versions": [_team_facts(m) for m in versions]}
        print_json(facts)
        return
    _print_facts(
        {
            "name": name,
            "versions": ", ".join(model.version for model in versions),
            "aliases": ", ".join(f"{alias} = {version}" for alias, version in aliases.items()),
            "task": str(versions[-1].manifest.task or "none: a pretrained encoder"),
            "labels": ", ".join(versions[-1].manifest.labels),
            "base model": versions[-1].manifest.base_model,
            "here": "\n".join(str(model.folder) for model in versions),
        }
    )


def _team_facts(model: StoredModel) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "version": model.version,
        "kind": manifest.kind,
        "task": manifest.task,
        "labels": manifest.labels,
        "base_model": manifest.base_model,
        "size_bytes": model.size_bytes,
        "folder": str(model.folder),
    }


def _sources(entry: ModelEntry) -> Iterator[str]:
    for source in entry.sources:
        if source.repository:
            yield f"{source.kind}: {source.repository}"
        for file in source.files.values():
            known = "SHA-256" if file.sha256 else "MD5" if file.md5 else "no checksum published"
            yield f"{source.kind}: {file.url} ({known})"


def _scores(entry: ModelEntry) -> Iterator[str]:
    for address, scores in groupby(entry.scores, key=lambda score: score["source"]):
        figures = [f"{s['dataset']} {s['metric']} {s['value']}" for s in scores]
        yield "; ".join(figures) + f"\n  ({address})"


def _print_facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    for key, value in facts.items():
        for number, line in enumerate(value.splitlines()):
            click.echo(f"{'' if number else key:<{width}}  {line}")


def _is_here(entry: ModelEntry) -> bool:
    return entry.folder is not None or Store().find(entry.name, entry.version) is not None


def _print(entries: Sequence[ModelEntry], as_json: bool, only_here: bool) -> None:
    here = {entry.name for entry in entries if _is_here(entry)}
    shown = [entry for entry in entries if entry.name in here or not only_here]
    team = [m for m in Store().models() if known_model(m.name) is None] if only_here else []
    if as_json:
        documents = [{**entry.to_dict(), "installed": entry.name in here} for entry in shown]
        print_json(documents + [{"name": m.name, **_team_facts(m)} for m in team])
        return
    # Of what is all here, one rather wants to know how much room it takes.
    third = "size" if only_here else "here"
    rows = [
        [
            entry.name,
            f"{entry.parameters / 1e6:.1f} M",
            (_size(entry) if only_here else "yes") if entry.name in here else "",
            entry.summary if entry.pretrained else f"NOT PRETRAINED. {entry.summary}",
        ]
        for entry in shown
    ]
    rows += [
        [
            f"{m.name}@{m.version}",
            "",
            readable_size(m.size_bytes),
            f"{m.manifest.task or 'a pretrained encoder'}, yours",
        ]
        for m in team
    ]
    print_table(["name", "parameters", third, "what it is"], rows, one_line=True)


def _size(entry: ModelEntry) -> str:
    """The room that a model on this machine takes."""
    stored = Store().find(entry.name, entry.version)
    if stored is not None:
        return readable_size(stored.size_bytes)
    return "" if entry.folder is None else readable_size(folder_size(entry.folder))
