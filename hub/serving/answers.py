"""A task's answers as the JSON objects that every protocol sends."""

from __future__ import annotations

from typing import Any


def document(task: str, answer: Any, ranked: bool = False) -> dict[str, Any]:
    """An answer as a JSON object, of the same keys as `hub predict --json` has.

    Args:
        task: the task's stored name.
        answer: what its `decode` gave.
        ranked: whether several of the best answers were asked for.
    """
    if task == "text-classification":
        if isinstance(answer, dict):
            return answer
        if isinstance(answer, str):
            return {"label": answer}
        return {"labels": answer} if ranked else dict(answer[0])
    if task == "multi-label-classification":
        if isinstance(answer, dict):
            return answer
        return {"labels": answer}
    if task == "token-classification":
        return {"entities": answer}
    if task == "fill-mask":
        return {"predictions": answer}
    if task == "sentence-embedding":
        return {"embedding": [float(value) for value in answer.tolist()]}
    return answer if isinstance(answer, dict) else {"answer": answer}


def summary(task: str, body: dict[str, Any]) -> tuple[tuple[str, ...], float | None]:
    """The labels that an answer gives, and how sure it is: what is watched for drift."""
    if task == "text-classification":
        best = body if "label" in body else body["labels"][0]
        return (best["label"],), best.get("score")
    if task == "multi-label-classification":
        scores = [label["score"] for label in body["labels"]]
        names = tuple(label["label"] for label in body["labels"])
        return names or ("(none)",), max(scores, default=None)
    if task == "token-classification":
        entities = body["entities"]
        types = tuple(entity["type"] for entity in entities)
        return types or ("(none)",), min((entity["score"] for entity in entities), default=None)
    if task == "intent-slots":
        return (body["intent"],), body["score"]
    return (), None


def label_of(task: str, body: dict[str, Any]) -> str | None:
    """The one label of an answer, where a task gives one."""
    if "label" in body:
        return str(body["label"])
    return str(body["intent"]) if task == "intent-slots" else None


def essence(task: str, body: dict[str, Any]) -> Any:
    """What of an answer must be the same for two models to agree, without scores."""
    if task in ("text-classification", "intent-slots"):
        best = body if "label" in body or "intent" in body else body["labels"][0]
        return best.get("label", best.get("intent"))
    if task == "multi-label-classification":
        return sorted(label["label"] for label in body["labels"])
    if task == "token-classification":
        return [[entity["type"], entity["start"], entity["end"]] for entity in body["entities"]]
    return None
