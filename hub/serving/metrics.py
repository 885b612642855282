"""Prometheus metrics of one process, and the sum of several.

Names of models come from what is served, never from a request: a caller cannot make series. Those
of a version end with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from hub.serving.engine import Computed

__all__ = ["CONTENT_TYPE_LATEST", "Metrics", "VersionMetrics", "add_up"]

# A series of start times beside each counter would double their number and tell nothing.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS = (16, 64, 256, 1024, 4096, 16384)
# A version's labels beyond so many are counted together.
_LABELS = 30


class Metrics:
    """What a process counts."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        # Model and version of those that are served.
        self._served: set[tuple[str, str]] = set()
        of = ["model", "version"]

        def counter(name: str, text: str, labels: Sequence[str]) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, of, registry=registry, buckets=buckets)

        self.requests = counter(
            "hub_requests", "Requests for answers.", ["model", "version", "arm", "code"]
        )
        self.seconds = histogram(
            "hub_request_seconds", "From a request's arrival to its answer.", _SECONDS
        )
        self.queue_seconds = histogram(
            "hub_queue_seconds", "How long a text waited for the engine.", _SECONDS
        )
        self.tokenize_seconds = histogram(
            "hub_tokenize_seconds", "Time a batch took to become tokens.", _SECONDS
        )
        self.inference_seconds = histogram(
            "hub_inference_seconds", "Time a batch took in the network.", _SECONDS
        )
        self.batch_size = histogram("hub_batch_size", "Texts in a batch.", _COUNTS)
        self.batch_tokens = histogram(
            "hub_batch_tokens", "Tokens in a batch, padding included.", _TOKENS
        )
        self.confidence = histogram("hub_confidence", "The best label's score.", _SHARES)
        self.labels = counter("hub_label", "Labels that were answered.", [*of, "label"])
        self.tokens = counter("hub_tokens", "Tokens of the texts, without padding.", of)
        self.inferences = counter("hub_inferences", "Texts that were computed.", of)
        self.executions = counter("hub_executions", "Batches that were computed.", of)
        self.rejected = counter(
            "hub_rejected",
            "Requests that were not computed: full, expired, cancelled, draining, too_large.",
            ["model", "reason"],
        )
        self.depth = gauge("hub_queue_depth", "Texts that wait for the engine.", of)
        self.inflight = gauge("hub_inflight", "Requests that are being answered.")
        self.shadow = counter(
            "hub_shadow",
            "Texts that the shadow version answered: same, different, dropped, failed.",
            [*of, "result"],
        )
        self.reloads = counter("hub_model_reloads", "Loaded versions.", ["model", "result"])
        self.info = gauge("hub_model_info", "The versions that are loaded.", [*of, "sha256"])
        self.ready = gauge("hub_ready", "Processes that take requests.")
        self.per_version = [
            self.seconds, self.queue_seconds, self.tokenize_seconds, self.inference_seconds,
            self.batch_size, self.batch_tokens, self.confidence, self.tokens, self.inferences,
            self.executions, self.depth,
        ]  # fmt: skip
        # Per version too, with a further label.
        self.per_version_and_more = [self.requests, self.labels, self.info, self.shadow]

    def text(self) -> str:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry).decode()

    def begin(self, model: str, version: str, digest: str) -> None:
        """A version is served from now on."""
        self._served.add((model, version))
        self.info.labels(model, version, digest).set(1)

    def answered(
        self, model: str, version: str | None, arm: str, status: int, took_s: float
    ) -> None:
        """A request was answered; of a version that has gone meanwhile without its name."""
        known = version is not None and (model, version) in self._served
        name = version if known else "none"
        self.requests.labels(model, name, arm, str(status)).inc()
        if known and status == 200:
            self.seconds.labels(model, name).observe(took_s)

    def compared(self, model: str, version: str, result: str, texts: int) -> None:
        """So many texts had this result in the shadow, if it has not gone meanwhile."""
        if (model, version) in self._served:
            self.shadow.labels(model, version, result).inc(texts)

    def forget(self, model: str, version: str) -> None:
        """End the series of a version that is not served any more."""
        self._served.discard((model, version))
        for metric in self.per_version:
            metric.remove_by_labels({"model": model, "version": version})
        for metric in self.per_version_and_more:
            metric.remove_by_labels({"model": model, "version": version})


class VersionMetrics:
    """What a batcher tells of one version; it is an `Observer`."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        self._metrics, self._model, self._version = metrics, model, version
        at = (model, version)
        self._depth = metrics.depth.labels(*at)
        self._queue_seconds = metrics.queue_seconds.labels(*at)
        self._tokenize_seconds = metrics.tokenize_seconds.labels(*at)
        self._inference_seconds = metrics.inference_seconds.labels(*at)
        self._batch_size = metrics.batch_size.labels(*at)
        self._batch_tokens = metrics.batch_tokens.labels(*at)
        self._confidence = metrics.confidence.labels(*at)
        self._tokens = metrics.tokens.labels(*at)
        self._inferences = metrics.inferences.labels(*at)
        self._executions = metrics.executions.labels(*at)
        self._labels: dict[str, Any] = {}

    def queued(self, texts: int) -> None:
        """So many texts wait now."""
        self._depth.set(texts)

    def rejected(self, reason: str, count: int = 1) -> None:
        """A request was not computed."""
        self._metrics.rejected.labels(self._model, reason).inc(count)

    def computed(self, result: Computed, waits_s: Sequence[float]) -> None:
        """A batch was computed; its texts had waited so long."""
        for wait in waits_s:
            self._queue_seconds.observe(wait)
        self._tokenize_seconds.observe(result.tokenize_s)
        self._inference_seconds.observe(result.inference_s)
        for size, tokens in zip(result.sizes, result.tokens, strict=True):
            self._batch_size.observe(size)
            self._batch_tokens.observe(tokens)
        self._executions.inc()
        self._inferences.inc(len(result.outcomes))
        self._tokens.inc(sum(outcome.tokens for outcome in result.outcomes))
        for outcome in result.outcomes:
            if outcome.confidence is not None:
                self._confidence.observe(outcome.confidence)
            for label in outcome.labels:
                self._count(label)

    def _count(self, label: str) -> None:
        child = self._labels.get(label)
        if child is None:
            name = label if len(self._labels) < _LABELS else "(other)"
            child = self._metrics.labels.labels(self._model, self._version, name)
            self._labels[label] = child
        child.inc()


# Gauges that are the same in every process; the others are added up.
_SHARED = {"hub_model_info"}


def add_up(texts: Iterable[str]) -> str:
    """The metrics of several processes as those of one: counts are added, facts are not."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, family)
            samples = values.setdefault(family.name, {})
            for sample in family.samples:
                # A start time cannot be added; the counters' own resets tell the same.
                if sample.name.endswith("_created"):
                    continue
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if family.name in _SHARED:
                    samples[key] = sample.value
                else:
                    samples[key] = samples.get(key, 0.0) + sample.value
    registry = CollectorRegistry()
    registry.register(_Sum(families, values))
    return generate_latest(registry).decode()


class _Sum:
    """A collector of finished samples."""

    def __init__(self, families: dict[str, Metric], values: dict[str, Any]) -> None:
        self._families, self._values = families, values

    def collect(self) -> Iterable[Metric]:
        for name, family in self._families.items():
            metric = Metric(name, family.documentation, family.type)
            for (sample, labels), value in self._values[name].items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
