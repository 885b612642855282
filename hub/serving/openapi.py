"""The service's description in OpenAPI 3.1, written by hand: there are few addresses."""

from __future__ import annotations

from typing import Any

from hub import __version__
from hub.serving.settings import Limits

Json = dict[str, Any]


def describe(limits: Limits) -> Json:
    """The description, with the limits that hold here."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ernie-hub",
            "version": __version__,
            "description": "Fine-tuned models for Chinese text. Every answer names the version "
            "that made it, in the body and in the header `X-Model-Version`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "answers", "description": "Texts in, answers out."},
            {"name": "PaddleHub", "description": "Requests of PaddleHub 2.x's serving."},
            {"name": "Open Inference Protocol v2", "description": "As KServe and Triton have it."},
            {"name": "health", "description": "For load balancers and Prometheus."},
            {"name": "administration", "description": "Versions and traffic; needs the token."},
        ],
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": {**_answers(), **_paddlehub(), **_v2(), **_health(), **_admin()},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": _schemas(limits),
            "responses": {
                "Refused": _content("The request is refused; `code` says why.", "Error"),
                "V2Refused": _content("The request is refused.", "V2Error"),
                "PaddleHubRefused": _content("The request is refused.", "PaddleHubAnswer"),
            },
        },
    }


def _content(description: str, schema: str, kind: str = "application/json") -> Json:
    return {
        "description": description,
        "content": {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _body(schema: str, example: Any, kinds: tuple[str, ...] = ("application/json",)) -> Json:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "required": True,
        "content": {kind: {"schema": reference, "example": example} for kind in kinds},
    }


def _operation(tag: str, summary: str, answer: Json, refused: str = "Refused", **more: Any) -> Json:
    reference = {"$ref": f"#/components/responses/{refused}"}
    return {
        "tags": [tag],
        "summary": summary,
        "operationId": "".join(ch if ch.isalnum() else "_" for ch in summary.lower())[:60],
        "responses": {
            "200": answer,
            **dict.fromkeys(("4XX", "500", "503", "504"), reference),
        },
        **more,
    }


def _in_path(name: str, description: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


_NAME = _in_path("name", "The model.")
_VERSION = _in_path("version", "The version.")
_USER = {
    "name": "X-User-Id",
    "in": "header",
    "description": "The same caller always meets the same version.",
    "schema": {"type": "string"},
}


def _in_query() -> list[Json]:
    """The options of a body of JSON lines."""
    kinds: Json = {
        "probabilities": {"type": "boolean"},
        "top_k": {"type": "integer", "minimum": 1, "maximum": 1000},
        "long_text": {"enum": ["cut", "window"]},
        "user": {"type": "string", "minLength": 1, "maxLength": 500},
        "version": {"type": "string", "minLength": 1, "maxLength": 500},
    }
    description = "Of a body of JSON lines; a JSON object has it as a field."
    return [
        {"name": name, "in": "query", "description": description, "schema": schema}
        for name, schema in kinds.items()
    ]


_EXAMPLE = {"texts": ["这家酒店的电话是多少", "附近有什么好吃的"], "probabilities": True}


def _answers() -> Json:
    tag = "answers"
    models = _content("The models.", "Models")
    return {
        "/v1/models": {"get": _operation(tag, "List the models", models)},
        "/v1/models/{name}": {
            "get": _operation(
                tag, "Show a model", _content("The model.", "Model"), parameters=[_NAME]
            )
        },
        "/v1/models/{name}:predict": {
            "post": _operation(
                tag,
                "Answer texts",
                _content("An answer a text, in their order.", "Answers"),
                parameters=[_NAME, _USER],
                requestBody=_body("Texts", _EXAMPLE),
            )
        },
        "/v1/models/{name}:batch": {
            "post": _operation(
                tag,
                "Answer many texts, a line each",
                _content(
                    "A line of JSON a text, as soon as it is computed: its `index`, and the "
                    "answer or an `error`. What ends the batch is a last line without an `index`.",
                    "Line",
                    "application/x-ndjson",
                ),
                parameters=[_NAME, _USER, *_in_query()],
                requestBody=_body("ManyTexts", _EXAMPLE),
            )
        },
    }


def _paddlehub() -> Json:
    return {
        "/predict/{name}": {
            "post": _operation(
                "PaddleHub",
                "Answer texts as PaddleHub does",
                _content("The answers.", "PaddleHubAnswer"),
                "PaddleHubRefused",
                parameters=[_NAME],
                requestBody=_body("PaddleHubTexts", {"data": [["今天天气不错"], ["来一首歌"]]}),
            )
        }
    }


def _v2() -> Json:
    tag = "Open Inference Protocol v2"
    example = {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["今天天气不错"]}]
    }

    def get(summary: str, schema: str, *parameters: Json) -> Json:
        answer = _content(summary + ".", schema)
        return {"get": _operation(tag, summary, answer, "V2Refused", parameters=list(parameters))}

    def infer(summary: str, *parameters: Json) -> Json:
        return {
            "post": _operation(
                tag,
                summary,
                _content("The tensors of the answers.", "V2Answer"),
                "V2Refused",
                parameters=list(parameters),
                requestBody=_body("V2Request", example),
            )
        }

    model, version = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
    return {
        "/v2": get("Server metadata", "Object"),
        "/v2/health/live": get("Server live", "Object"),
        "/v2/health/ready": get("Server ready", "Object"),
        model: get("Model metadata", "Object", _NAME),
        f"{model}/ready": get("Model ready", "Object", _NAME),
        f"{model}/infer": infer("Model inference", _NAME),
        version: get("Version metadata", "Object", _NAME, _VERSION),
        f"{version}/ready": get("Version ready", "Object", _NAME, _VERSION),
        f"{version}/infer": infer("Version inference", _NAME, _VERSION),
    }


def _health() -> Json:
    metrics = {
        "description": "Prometheus's text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    return {
        "/healthz": {
            "get": _operation("health", "The process is alive", _content("It is.", "Object"))
        },
        "/readyz": {
            "get": _operation("health", "It takes requests", _content("It does.", "Object"))
        },
        "/metrics": {"get": _operation("health", "Metrics", metrics)},
    }


def _admin() -> Json:
    tag = "administration"

    def operation(summary: str, schema: str | None = None, *parameters: Json) -> Json:
        more: Json = {"parameters": list(parameters), "security": [{"bearer": []}]}
        if schema is not None:
            example = {"source": "runs/v4", "version": "4", "percent": 10}
            more["requestBody"] = _body(
                schema, {"weights": {"3": 90, "4": 10}} if schema == "Traffic" else example
            )
        return _operation(tag, summary, _content("What it is now.", "Object"), **more)

    model = "/admin/models/{name}"
    return {
        "/admin/models": {"get": operation("Show versions, traffic and refusals")},
        f"{model}/versions": {"post": operation("Load a version and switch", "Deploy", _NAME)},
        f"{model}/versions/{{version}}": {
            "delete": operation("Unload a version", None, _NAME, _VERSION)
        },
        f"{model}/traffic": {"put": operation("Share out the requests", "Traffic", _NAME)},
        f"{model}/rollback": {"post": operation("Go back to the state before", None, _NAME)},
        "/admin/reload": {"post": operation("Look at every source again")},
    }


def _schemas(limits: Limits) -> Json:
    text = {"type": "string", "maxLength": limits.text_characters}
    pair = {"type": "array", "items": text, "minItems": 1, "maxItems": 2}
    texts = {"type": "array", "items": {"anyOf": [text, pair]}, "minItems": 1}
    options: Json = {
        "probabilities": {
            "type": "boolean",
            "default": False,
            "description": "Every label's probability too.",
        },
        "top_k": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 1000,
            "description": "So many of the best labels.",
        },
        "long_text": {
            "enum": ["cut", "window", None],
            "description": "Of a text of too many tokens, read the beginning, or all in windows.",
        },
        "version": {"type": ["string", "null"], "description": "Ask this version."},
        "user": {
            "type": ["string", "null"],
            "description": "The same user always meets the same version.",
        },
    }
    open_object: Json = {"type": "object"}
    return {
        "Texts": {
            "type": "object",
            "description": f"Either `text` or `texts` (at most {limits.request_texts}).",
            "properties": {
                "text": {"anyOf": [text, pair], "description": "One text, or a pair of texts."},
                "texts": {**texts, "maxItems": limits.request_texts},
                **options,
            },
            "oneOf": [{"required": ["text"]}, {"required": ["texts"]}],
            "additionalProperties": False,
        },
        "ManyTexts": {
            "type": "object",
            "description": "The texts, in a body of at most "
            f"{limits.body_bytes:,} bytes; or, as application/x-ndjson, a text a line: a string or "
            f"an object with `text`, {limits.batch_bytes:,} bytes at most.",
            "properties": {"texts": {**texts, "maxItems": limits.batch_texts}, **options},
            "required": ["texts"],
            "additionalProperties": False,
        },
        "Answers": {
            "type": "object",
            "properties": {
                "model": {"type": "string"},
                "version": {"type": "string"},
                "task": {"type": "string"},
                "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}},
            },
            "required": ["model", "version", "task", "predictions"],
        },
        "Answer": {
            "type": "object",
            "description": "By the model's task: `label` and `score`; `labels`; `entities`; "
            "`intent` and `slots`; `predictions`; `embedding`.",
        },
        "Line": {
            "type": "object",
            "properties": {"index": {"type": "integer"}, "error": {"type": "object"}},
        },
        "Model": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "task": {"type": "string"},
                "labels": {"type": "array", "items": {"type": "string"}},
                "versions": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["name", "task", "labels", "versions"],
        },
        "Models": {
            "type": "object",
            "properties": {
                "models": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
            },
            "required": ["models"],
        },
        "Error": {
            "type": "object",
            "properties": {
                "error": {
                    "type": "object",
                    "properties": {
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                        "request_id": {"type": "string"},
                    },
                    "required": ["code", "message", "request_id"],
                }
            },
            "required": ["error"],
        },
        "PaddleHubTexts": {
            "type": "object",
            "description": "The texts as `data`, `texts` or `text`; other arguments of PaddleHub's "
            "methods are understood and not needed.",
            "properties": {
                "data": {"anyOf": [text, {**texts, "maxItems": limits.request_texts}]},
                "texts": {**texts, "maxItems": limits.request_texts},
                "text": {"anyOf": [text, {**texts, "maxItems": limits.request_texts}]},
                **{name: {} for name in ("max_seq_len", "batch_size", "use_gpu", "return_prob")},
            },
        },
        "PaddleHubAnswer": {
            "type": "object",
            "properties": {
                "status": {"type": "string"},
                "msg": {"type": "string"},
                "results": {},
            },
            "required": ["status", "msg", "results"],
        },
        "V2Request": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "inputs": {"type": "array", "minItems": 1, "items": _tensor(["BYTES"])},
                "outputs": {"type": "array", "items": {"type": "object"}},
                "parameters": {"type": "object"},
            },
            "required": ["inputs"],
        },
        "V2Answer": {
            "type": "object",
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "id": {"type": "string"},
                "outputs": {"type": "array", "items": _tensor(["BYTES", "FP32"])},
            },
            "required": ["model_name", "model_version", "outputs"],
        },
        "V2Error": {
            "type": "object",
            "properties": {"error": {"type": "string"}},
            "required": ["error"],
        },
        "Deploy": {
            "type": "object",
            "properties": {
                "source": {"type": "string", "description": "A folder, or a name as travel@prod."},
                "version": {"type": "string", "description": "What it is called."},
                "percent": {"type": "number", "minimum": 0, "maximum": 100},
                "shadow": {"type": "boolean", "description": "It answers unseen."},
                "force": {
                    "type": "boolean",
                    "description": "Another task or fewer labels are meant.",
                },
            },
            "required": ["source"],
            "additionalProperties": False,
        },
        "Traffic": {
            "type": "object",
            "properties": {
                "weights": {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 20,
                    "additionalProperties": {"type": "number", "minimum": 0},
                },
                "shadow": {"type": ["string", "null"]},
            },
            "required": ["weights"],
            "additionalProperties": False,
        },
        "Object": open_object,
    }


def _tensor(datatypes: list[str]) -> Json:
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "datatype": {"enum": datatypes},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "data": {"type": "array"},
        },
        "required": ["name", "datatype", "shape", "data"],
    }
