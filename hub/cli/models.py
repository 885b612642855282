"""`hub list`, `hub search` and `hub show`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hub.cli.output import json_option, print_json, print_table, say
from hub.registry import ModelEntry, find_model, list_models, search_models


@click.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the models known by name."""
    _print(list_models(), as_json)


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@json_option
def search_command(words: tuple[str, ...], as_json: bool) -> None:
    """List the models whose name or description holds all WORDS."""
    found = search_models(" ".join(words))
    if not found and not as_json:
        say(f"No model matches {' '.join(words)!r}. `hub list` shows all.")
        return
    _print(found, as_json)


@click.command("show")
@click.argument("name")
@json_option
def show_command(name: str, as_json: bool) -> None:
    """Show all that is known of the model NAME."""
    entry = find_model(name)
    if as_json:
        print_json(entry.to_dict())
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
        "scores": "; ".join(
            f"{s['dataset']} {s['metric']} {s['value']} ({s['source']})" for s in entry.scores
        )
        or "none published",
    }
    width = max(map(len, facts))
    for key, value in facts.items():
        if value:
            click.echo(f"{key:<{width}}  {value}")


def _print(entries: Sequence[ModelEntry], as_json: bool) -> None:
    if as_json:
        print_json([entry.to_dict() for entry in entries])
        return
    rows = [
        [
            entry.name,
            f"{entry.parameters / 1e6:.1f} M",
            "yes" if entry.pretrained else "no",
            entry.licence,
            entry.summary,
        ]
        for entry in entries
    ]
    print_table(["name", "parameters", "pretrained", "licence", "what it is"], rows)
