"""Answers as JSON objects: the form that files, `--json` and the service share."""

from __future__ import annotations

from typing import Any


def document(task: str, answer: Any) -> dict[str, Any]:
    """An answer as a JSON object.

    Args:
        task: the task's stored name.
        answer: what `predict` gave for one text.

    Returns:
        For classification `label`, and with scores `score` and `probabilities`; for several labels
        or the best ones `labels`; for token classification `entities`; for intents and slots
        `intent`, `score` and `slots`; for fill-mask `predictions`; for vectors `embedding`.
    """
    if isinstance(answer, str):
        return {"label": answer}
    if isinstance(answer, dict):
        return answer
    if task == "sentence-embedding":
        # As few digits as tell two float32 apart.
        return {"embedding": [float(str(value)) for value in answer]}
    names = {"fill-mask": "predictions", "token-classification": "entities"}
    return {names.get(task, "labels"): answer}
