"""The table of shapes in docs/models.md, from the catalogue.

    python tools/model_table.py

Models of one shape share a line. A test compares the page with what this prints.
"""

from __future__ import annotations

from hub.models.ernie.config import ErnieConfig
from hub.registry import list_models

_HEADER = (
    "names", "layers × width", "heads", "feed-forward", "vocabulary", "positions", "segments",
    "task types", "activation", "epsilon",
)  # fmt: skip


def table() -> str:
    """The table in Markdown."""
    names: dict[tuple[str, ...], list[str]] = {}
    for entry in list_models():
        shape = ErnieConfig.from_dict(dict(entry.architecture))
        row = (
            f"{shape.num_hidden_layers} × {shape.hidden_size:,}",
            str(shape.num_attention_heads),
            f"{shape.intermediate_size:,}",
            f"{shape.vocab_size:,}",
            f"{shape.max_position_embeddings:,}",
            str(shape.type_vocab_size),
            str(shape.task_type_vocab_size) if shape.use_task_id else "",
            shape.hidden_act,
            f"{shape.layer_norm_eps:.0e}".replace("e-0", "e-"),
        )
        names.setdefault(row, []).append(f"`{entry.name}`")
    lines = ["| " + " | ".join(_HEADER) + " |", "|---|---|" + "---:|" * 6 + "---|---:|"]
    lines += [f"| {', '.join(same)} | {' | '.join(row)} |" for row, same in names.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
