"""A span of OpenTelemetry around each request, where that is installed and set up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from starlette.types import Scope


def no_span(scope: Scope) -> Any:
    """Instead of a span: nothing."""
    return contextlib.nullcontext()


def span_maker() -> Callable[[Scope], Any]:
    """What makes a request's span: a context manager, which does nothing without OpenTelemetry.

    The caller's `traceparent` is the parent. Where spans go is the operator's choice, by the
    variables that OpenTelemetry reads (`opentelemetry-instrument hub serve ...`).
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        return no_span
    tracer = trace.get_tracer("hub.serving")

    def span(scope: Scope) -> Any:
        carrier = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        return tracer.start_as_current_span(
            f"{scope['method']} {scope['path']}",
            context=propagate.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.path": scope["path"]},
        )

    # Without a provider every span would be made for nothing.
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return no_span
    return span
