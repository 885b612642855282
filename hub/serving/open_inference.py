"""The Open Inference Protocol v2 over HTTP, as KServe, Triton and others speak it.

https://github.com/kserve/open-inference-protocol, `inference_rest.yaml`. Texts come as one tensor
of BYTES named `text` (pairs: a second one, `text_pair`, or a shape of [N, 2]); answers are tensors
whose names and types the model's metadata gives. Values may be bytes: see `binary_tensors`.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hub import __version__
from hub.errors import RequestError
from hub.serving.answering import Answerer, Json, first_error
from hub.serving.answers import label_of
from hub.serving.binary_tensors import (
    HEADER,
    answer_with_bytes,
    cut_body,
    take_values,
    wanted_as_bytes,
)
from hub.serving.engine import Outcome
from hub.serving.gate import record_of
from hub.serving.requests import (
    as_object,
    check_string,
    check_texts,
    parse_json,
    read_body,
    wishes_of,
)
from hub.serving.service import Version
from hub.tasks import Task


class OpenInferenceProtocol:
    """`/v2`."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    async def server(self, request: Request) -> Response:
        """The server's metadata."""
        return Json(
            {"name": "ernie-hub", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return Json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Whether the service takes requests."""
        ready = self._answerer.service.not_ready() is None
        return Json({"ready": ready}, 200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """A model's metadata: names, types and shapes of its tensors."""
        version = self._version(request)
        served = self._answerer.service.find(request.path_params["name"])
        task = version.engine.task
        inputs = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        if task.pairs:
            inputs.append({"name": "text_pair", "datatype": "BYTES", "shape": [-1]})
        return Json(
            {
                "name": served.plan.name,
                "versions": list(served.versions),
                "platform": "ernie-hub",
                "inputs": inputs,
                "outputs": [
                    {"name": name, "datatype": datatype, "shape": shape}
                    for name, datatype, shape in _outputs(task)
                ],
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Whether a model, or a version of it, takes requests."""
        self._version(request)
        ready = self._answerer.service.not_ready() is None
        name = request.path_params["name"]
        return Json({"name": name, "ready": ready}, 200 if ready else 503)

    async def infer(self, request: Request) -> Response:
        """Answer the texts of a request's tensors."""
        record = record_of(request.scope)
        self._answerer.admit(request, record)
        limits = self._answerer.limits
        whole = await read_body(request, limits.body_bytes, limits.body_s)
        head, values = cut_body(whole, request.headers.get(HEADER))
        body = as_object(parse_json(head))
        take_values(body.get("inputs"), values)
        texts = check_texts(_texts(body.get("inputs")), limits)
        parameters = body.get("parameters")
        parameters = {} if parameters is None else parameters
        if not isinstance(parameters, dict):
            raise RequestError(422, "bad_parameters", "'parameters' must be an object.")
        wishes = wishes_of(parameters)
        task = self._version(request).engine.task
        if any(name == "probabilities" for name, *_ in _outputs(task)):
            wishes = wishes._replace(probabilities=True, top_k=None)
        names = _asked(body.get("outputs"), task)
        version, outcomes = await self._answerer.answer(
            request, texts, wishes, request.path_params.get("version")
        )
        if error := first_error(outcomes):
            raise error
        outputs = [
            tensor for tensor in _tensors(version, outcomes) if not names or tensor["name"] in names
        ]
        answer: dict[str, Any] = {
            "model_name": version.model,
            "model_version": version.name,
            "outputs": outputs,
        }
        if body.get("id") is not None:
            answer["id"] = check_string(body["id"], "id")
        as_bytes = wanted_as_bytes(body, [tensor["name"] for tensor in outputs])
        return answer_with_bytes(answer, as_bytes) if as_bytes else Json(answer)

    def _version(self, request: Request) -> Version:
        served = self._answerer.service.find(request.path_params["name"])
        wanted = request.path_params.get("version") or served.traffic.versions[0]
        return self._answerer.service.choose(served, wanted, None)[0]


def _texts(inputs: Any) -> list[Any]:
    """The texts of the tensors."""
    if not isinstance(inputs, list) or not inputs:
        raise RequestError(422, "no_inputs", "'inputs' must be a list of tensors.")
    tensors = {}
    for tensor in inputs:
        if not isinstance(tensor, dict):
            raise RequestError(422, "bad_tensor", "Each of 'inputs' must be an object.")
        name = tensor.get("name")
        if tensor.get("datatype") != "BYTES":
            raise RequestError(422, "bad_datatype", "The datatype of texts is BYTES.")
        if len(inputs) > 1 and name not in ("text", "text_pair"):
            raise RequestError(422, "bad_tensor", "The tensors are 'text' and 'text_pair'.")
        tensors["text_pair" if name == "text_pair" else "text"] = _rows(tensor)
    if "text" not in tensors:
        raise RequestError(422, "no_inputs", "There is no tensor 'text'.")
    if "text_pair" not in tensors:
        return tensors["text"]
    if len(tensors["text"]) != len(tensors["text_pair"]):
        raise RequestError(422, "bad_shape", "'text' and 'text_pair' differ in length.")
    return [list(pair) for pair in zip(tensors["text"], tensors["text_pair"], strict=True)]


def _rows(tensor: dict[str, Any]) -> list[Any]:
    data, shape = tensor.get("data"), tensor.get("shape")
    if not isinstance(data, list):
        raise RequestError(422, "bad_tensor", "'data' must be a list.")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise RequestError(422, "bad_shape", "'shape' must be a list of whole numbers.")
    flat = [value for row in data for value in (row if isinstance(row, list) else [row])]
    if len(shape) == 2 and shape[1] in (1, 2):
        if len(flat) != shape[0] * shape[1]:
            raise RequestError(422, "bad_shape", "'shape' does not fit 'data'.")
        width = shape[1]
        return [flat[start : start + width] for start in range(0, len(flat), width)]
    if len(shape) != 1 or len(flat) != shape[0]:
        raise RequestError(422, "bad_shape", "'shape' does not fit 'data'.")
    return flat


def _outputs(task: Task) -> list[tuple[str, str, list[int]]]:
    """The tensors of a task's answers: name, datatype, shape."""
    if task.name == "text-classification":
        return [
            ("label", "BYTES", [-1]),
            ("score", "FP32", [-1]),
            ("probabilities", "FP32", [-1, len(task.labels)]),
        ]
    if task.name == "multi-label-classification":
        return [("answer", "BYTES", [-1]), ("probabilities", "FP32", [-1, len(task.labels)])]
    if task.name == "sentence-embedding":
        return [("embedding", "FP32", [-1, -1])]
    return [("answer", "BYTES", [-1])]


def _asked(outputs: Any, task: Task) -> set[str]:
    if outputs is None:
        return set()
    if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
        raise RequestError(422, "bad_outputs", "'outputs' must be a list of objects.")
    known = {name for name, *_ in _outputs(task)}
    names = set()
    for output in outputs:
        name = output.get("name")
        if not isinstance(name, str) or name not in known:
            raise RequestError(
                422, "unknown_output", f"The outputs are {', '.join(sorted(known))}."
            )
        names.add(name)
    return names


def _tensors(version: Version, outcomes: list[Outcome]) -> list[dict[str, Any]]:
    task = version.engine.task
    answers: list[dict[str, Any]] = [outcome.answer or {} for outcome in outcomes]
    values: dict[str, list[Any]] = {}
    shapes: dict[str, list[int]] = {}
    for name, _, _ in _outputs(task):
        if name == "label":
            values[name] = [label_of(task.name, answer) for answer in answers]
        elif name == "score":
            values[name] = [answer["score"] for answer in answers]
        elif name == "probabilities":
            rows = [answer["probabilities"] for answer in answers]
            values[name] = [row[label] for row in rows for label in task.labels]
            shapes[name] = [len(answers), len(task.labels)]
        elif name == "embedding":
            values[name] = [number for answer in answers for number in answer["embedding"]]
            shapes[name] = [len(answers), len(answers[0]["embedding"])]
        else:
            values[name] = [json.dumps(answer, ensure_ascii=False) for answer in answers]
    return [
        {
            "name": name,
            "datatype": datatype,
            "shape": shapes.get(name, [len(answers)]),
            "data": values[name],
        }
        for name, datatype, _ in _outputs(task)
    ]
