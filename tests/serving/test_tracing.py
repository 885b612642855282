"""Spans of OpenTelemetry, where it is installed and set up."""

from __future__ import annotations

import subprocess
import sys

from tests.serving.conftest import ROOT

CODE = """
import asyncio, json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from hub.serving.tracing import span_maker

scope = {
    "type": "http", "method": "POST", "path": "/predict/travel",
    "headers": [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
}
with span_maker()(scope):
    pass  # nothing is set up: nothing is made
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
with span_maker()(scope):
    pass
(span,) = exporter.get_finished_spans()
print(json.dumps([span.name, f"{span.context.trace_id:032x}", span.kind.name]))
"""


def test_a_request_is_a_span_of_its_callers_trace() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "POST /predict/travel" in done.stdout and '"SERVER"' in done.stdout
    assert "0af7651916cd43dd8448eb211c80319c" in done.stdout
