"""What a pretrained model's folder says of itself: the card and the curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.constants import CARD_FILE, PRETRAINING_CURVE_FILE
from hub.files import write_text, write_whole


def write_card(folder: Path, summary: dict[str, Any]) -> None:
    """Write the model card and, where matplotlib is installed, the curve it shows."""
    history = summary["history"]
    first, last = history[0], history[-1]
    is_drawn = _draw(folder, history)
    picture = f"\n![held-out loss and accuracy]({PRETRAINING_CURVE_FILE})\n" if is_drawn else ""
    corpus = "\n".join(f"- `{name}`" for name in summary["corpus"])
    start = (
        f"`{summary['base_model']}`" if summary["base_model"] else "random weights (from scratch)"
    )
    before = _figures(first) if first["step"] == 0 else "not measured"
    text = f"""---
language: zh
library_name: ernie-hub
pipeline_tag: fill-mask
---

# {folder.name}

A masked language model, pretrained from {start} with whole words masked. `hub finetune --model {folder}` fine-tunes it.

- **Corpus**: {summary["corpus_tokens"]:,} tokens, of which {last["tokens"]:,} were read (in several passes if these are more).
- **Held-out text** ({summary["held_out_sequences"]:,} sequences of {summary["arguments"]["max_seq_len"]} tokens that were never trained on): before, {before}; after, {_figures(last)}.
- **Time**: {summary["seconds"] / 60:.1f} minutes; {summary["versions"]["machine"]}.
- **Command**: `{summary["command"] or "hub.training.pretraining"}`
{picture}
Files of the corpus:

{corpus}
"""  # noqa: E501  (Markdown's paragraphs)
    write_text(folder / CARD_FILE, text)


def _figures(entry: dict[str, Any]) -> str:
    return (
        f"loss {entry['held_out_loss']:.3f}, {entry['held_out_accuracy']:.1%} of the masked tokens "
        "guessed"
    )


def _draw(folder: Path, history: Sequence[dict[str, Any]]) -> bool:
    """Draw the curve; False if there is nothing to draw with."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import PercentFormatter
    except ImportError:
        return False
    millions = [entry["tokens"] / 1e6 for entry in history]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(millions, [entry["held_out_loss"] for entry in history], marker="o", label="held out")
    trained = [(m, e["loss"]) for m, e in zip(millions, history, strict=True) if e["loss"]]
    left.plot(*zip(*trained, strict=True), color="tab:gray", label="training") if trained else None
    left.set(title="loss", xlabel="million tokens")
    left.legend(fontsize="small")
    right.plot(millions, [entry["held_out_accuracy"] for entry in history], marker="o")
    right.set(title="masked tokens guessed, held out", xlabel="million tokens")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    write_whole(
        folder / PRETRAINING_CURVE_FILE, lambda path: figure.savefig(path, format="png", dpi=120)
    )
    return True
