"""Tensors as bytes after the JSON: the protocol's extension that Triton's clients use unasked.

The header `Inference-Header-Content-Length` says how long the JSON is; what follows are the values
of the tensors whose `parameters` hold `binary_data_size`, in their order. BYTES are each string's
length, 4 bytes little-endian, and its UTF-8; FP32 are 4 bytes each, little-endian.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from starlette.responses import Response

from hub.errors import RequestError

HEADER = "inference-header-content-length"


def cut_body(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """A body's JSON, and the values after it.

    Args:
        body: the whole body.
        length: what the request's header says, if it has it.

    Raises:
        RequestError: the body is shorter than that.
    """
    if length is None:
        return body, b""
    # Its length too: Python refuses to read a number of thousands of digits.
    is_number = length.isascii() and length.isdigit() and len(length) < 20
    if not is_number or int(length) > len(body):
        raise RequestError(400, "binary", "Inference-Header-Content-Length does not fit the body.")
    return body[: int(length)], body[int(length) :]


def take_values(inputs: Any, values: bytes) -> None:
    """Give the tensors whose values came as bytes their `data`.

    Args:
        inputs: the request's `inputs`; changed in place.
        values: what came after the JSON.

    Raises:
        RequestError: sizes and values do not fit each other, or a text is not UTF-8.
    """
    place = 0
    for tensor in inputs if isinstance(inputs, list) else ():
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            continue
        if type(size) is not int or not 0 <= size <= len(values) - place or "data" in tensor:
            raise RequestError(422, "bad_tensor", "'binary_data_size' does not fit the body.")
        tensor["data"] = _strings(values[place : place + size])
        place += size
    if place != len(values):
        raise RequestError(422, "bad_tensor", "There are bytes that belong to no tensor.")


def _strings(values: bytes) -> list[str]:
    found, place = [], 0
    while place < len(values):
        end = place + 4
        if end <= len(values):
            end += int(struct.unpack_from("<I", values, place)[0])
        if end > len(values) or end < place + 4:
            raise RequestError(422, "bad_tensor", "The bytes of a tensor end within a text.")
        try:
            found.append(values[place + 4 : end].decode("utf-8"))
        except UnicodeDecodeError:
            raise RequestError(400, "not_utf8", "A text of a tensor is not UTF-8.") from None
        place = end
    return found


def wanted_as_bytes(body: dict[str, Any], names: list[str]) -> set[str]:
    """Which outputs the request asks for as bytes."""
    parameters, outputs = body.get("parameters"), body.get("outputs")
    every = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    found = set(names) if every else set()
    for output in outputs if isinstance(outputs, list) else ():
        own = output.get("parameters") if isinstance(output, dict) else None
        if isinstance(own, dict) and isinstance(own.get("binary_data"), bool):
            (found.add if own["binary_data"] else found.discard)(output.get("name"))
    return found


def answer_with_bytes(answer: dict[str, Any], names: set[str]) -> Response:
    """A response whose outputs of these names are bytes after the JSON."""
    values: list[bytes] = []
    outputs = []
    for tensor in answer["outputs"]:
        if tensor["name"] not in names:
            outputs.append(tensor)
            continue
        values.append(_bytes(tensor["datatype"], tensor["data"]))
        kept = {name: value for name, value in tensor.items() if name != "data"}
        outputs.append({**kept, "parameters": {"binary_data_size": len(values[-1])}})
    head = json.dumps({**answer, "outputs": outputs}, ensure_ascii=False).encode()
    return Response(
        head + b"".join(values),
        media_type="application/octet-stream",
        headers={HEADER: str(len(head))},
    )


def _bytes(datatype: str, data: list[Any]) -> bytes:
    if datatype == "FP32":
        return np.asarray(data, "<f4").tobytes()
    parts = [str(value).encode() for value in data]
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)
