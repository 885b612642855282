"""`hub predict`."""

from __future__ import annotations

import sys
from typing import Any

import click

from hub.cli.options import long_text_option
from hub.cli.output import json_option, print_json
from hub.errors import InputError

# Of a vector people see the first ones only; --json has all.
_SHOWN_NUMBERS = 6


@click.command("predict")
@click.argument("model")
@click.argument("texts", nargs=-1)
@click.option(
    "--task",
    type=click.Choice(
        [
            "text-classification",
            "multi-label",
            "token-classification",
            "intent-slots",
            "fill-mask",
            "sentence-embedding",
        ]
    ),
    help="What to ask; by default what the model was fine-tuned for.",
)
@click.option("--probabilities", "-p", is_flag=True, help="Also each label's probability.")
@click.option("--top-k", type=click.IntRange(1), help="So many of the best answers, with scores.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Texts at a time."
)
@long_text_option
@json_option
def predict_command(
    model: str,
    texts: tuple[str, ...],
    task: str | None,
    probabilities: bool,
    top_k: int | None,
    batch_size: int,
    long_text: str | None,
    as_json: bool,
) -> None:
    """Answer TEXTS with the fine-tuned or exported MODEL, a folder or a registered name.

    Without TEXTS, every line of the standard input is one. Where the model compares two texts, a
    tab divides them. A pretrained model fills masks and gives vectors (for a file of texts: `hub
    embed`).

    \b
    Examples:
      hub predict runs/travel "这家酒店的电话是多少" --probabilities
      hub predict runs/travel-onnx < questions.txt
      hub predict ernie-3.0-nano-zh --task fill-mask "北京是中国的[MASK]都"
    """
    from hub.inference.loading import load

    given = list(texts) or _standard_input()
    loaded = load(model, task=task)
    pairs = loaded.task is not None and bool(loaded.task.pairs)
    answers = loaded.predict(
        [_pair(text) for text in given] if pairs else given,
        probabilities=probabilities,
        top_k=top_k,
        batch_size=batch_size,
        long_text=long_text,
    )
    name = "" if loaded.task is None else loaded.task.name
    rows = list(zip(given, answers, strict=True))
    if as_json:
        print_json([{"text": text, **_document(name, answer)} for text, answer in rows])
        return
    for text, answer in rows:
        click.echo(_lines(name, text, answer))


def _pair(text: str) -> Any:
    """The two texts of a pair, which a tab divides."""
    parts = text.split("\t")
    return tuple(parts) if len(parts) == 2 else text


def _standard_input() -> list[str]:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"The standard input is not UTF-8 ({error}).") from None


def _document(task: str, answer: Any) -> dict[str, Any]:
    """An answer as a part of a JSON object."""
    if isinstance(answer, str):
        return {"label": answer}
    if isinstance(answer, dict):
        return answer
    if task == "sentence-embedding":
        # As few digits as tell two float32 apart.
        return {"embedding": [float(str(value)) for value in answer]}
    names = {"fill-mask": "predictions", "token-classification": "entities"}
    return {names.get(task, "labels"): answer}


def _lines(task: str, text: str, answer: Any) -> str:
    """The answer before its text, or the text and under it what was answered, a line each."""
    if isinstance(answer, str):
        return f"{answer}\t{text}"
    if task == "multi-label-classification" and all(isinstance(part, str) for part in answer):
        return f"{', '.join(answer)}\t{text}"
    if task == "sentence-embedding":
        first = "".join(f" {value:.4f}" for value in answer[:_SHOWN_NUMBERS])
        return f"{text}\n  {len(answer)} numbers:{first} ..."
    rows: list[Any] = []
    if isinstance(answer, dict):
        if "probabilities" in answer:
            shares = answer["probabilities"].items()
            rows = [{"label": label, "score": share} for label, share in shares]
            rows.sort(key=lambda row: -row["score"])
        elif "intent" in answer:
            rows = [{"label": answer["intent"], "score": answer["score"]}]
        rows += answer.get("slots", [])
    else:
        rows = [row for part in answer for row in (part if isinstance(part, list) else [part])]
    return "\n".join([text, *(_scored(row["score"], _described(row)) for row in rows)])


def _scored(share: float, what: str) -> str:
    return f"  {share:7.2%}  {what}"


def _described(row: dict[str, Any]) -> str:
    """A label; or a token and the text with it; or an entity and where it stands."""
    if "sequence" in row:
        return f"{row['token_str']}\t{row['sequence']}"
    if "type" in row:
        return f"{row['type']}\t{row['text']}\t{row['start']}-{row['end']}"
    return str(row["label"])
