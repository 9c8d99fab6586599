"""The metric store of one worker, and its rendering for Prometheus.

It holds the metrics that ``streams.telemetry.metric_definitions`` defines. The store is our own because it is on hot
paths. One event loop writes to it, so it needs no lock. A count costs a third of one in prometheus-client, which
only renders the text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from streams.telemetry.metric_definitions import VOCABULARY, Metric

OTHER = "other"
"""The label of each tenant that is not named, and of each unknown tier."""

NAMED = 50
"""The maximum number of tenants with a label of their own; the others share ``other``."""


class Histogram:
    """One series of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Iterable[float]) -> None:
        """Add each of *values*."""
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return each upper bound with the number of values at or below it, as Prometheus writes them."""
        names = [*map(str, self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class MetricStore(Collector):
    """The metrics of one stage. It accepts only metrics from ``VOCABULARY``."""

    def __init__(self, stage: str, tenants: Collection[str] = ()) -> None:
        self.stage = stage
        self.tier_of: Callable[[str], str] = lambda _: OTHER
        """Returns a tenant's tier, or "other"."""

        self.look: list[Callable[[], None]] = []
        """Callbacks that run before the metrics are read; each sets its gauges."""

        self._named = frozenset(sorted(tenants)[:NAMED])
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {each: defaultdict(float) for each in VOCABULARY}
        self._tallies: dict[Metric, dict[tuple[str, ...], Histogram]] = {}
        for metric in VOCABULARY:
            if metric.kind == "histogram":
                self._tallies[metric] = {} if metric.labels else {(): Histogram(metric.buckets)}
            elif not metric.labels:
                self._values[metric][()] = 0
            for start in metric.starts:
                self._values[metric][start,] = 0

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add *by* to the value of *metric*."""
        self._values[metric][labels] += by

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set the value of *metric* to *value*."""
        self._values[metric][labels] = value

    def clear(self, metric: Metric) -> None:
        """Remove all values of *metric*: they are not known now."""
        self._values[metric].clear()

    def tally(self, metric: Metric, *labels: str) -> Histogram:
        """Return the histogram itself, for callers that observe often."""
        series = self._tallies[metric]
        if labels not in series:
            series[labels] = Histogram(metric.buckets)
        return series[labels]

    def total(self, metric: Metric, *labels: str) -> float:
        """Return the count for *labels*, or the sum over all labels if none are given."""
        values = self._values[metric]
        return values[labels] if labels else sum(values.values())

    def totals(self) -> dict[str, float]:
        """Return every counter that is not zero, by its name without ``headrace_``, for one log line."""
        counts = {
            metric.name.removeprefix("headrace_"): self.total(metric)
            for metric in VOCABULARY
            if metric.kind == "counter"
        }
        return {name: count for name, count in counts.items() if count}

    def tenant(self, name: str) -> tuple[str, str]:
        """Return the tier and tenant labels; the tenant is ``other`` unless it is a named one."""
        return self.tier_of(name), name if name in self._named else OTHER

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        for each in self.look:
            each()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Yield every metric, for a registry of prometheus-client."""
        for metric in VOCABULARY:
            yield self._histogram(metric) if metric.kind == "histogram" else self._family(metric)

    def _family(self, metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.says, labels=("stage", *metric.labels))
        for labels, value in self._values[metric].items():
            family.add_metric((self.stage, *labels), value)
        return family

    def _histogram(self, metric: Metric) -> HistogramMetricFamily:
        family = HistogramMetricFamily(metric.name, metric.says, labels=("stage", *metric.labels))
        for labels, tally in self._tallies[metric].items():
            family.add_metric((self.stage, *labels), tally.buckets(), tally.total)
        return family
