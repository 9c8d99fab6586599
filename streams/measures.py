"""What one worker has measured, by the words of ``streams.metrics``, and how Prometheus is told.

The store is our own because it stands on hot paths: one loop measures, so it needs no lock, and a count costs a third
of one in prometheus-client, which renders the text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from streams.metrics import VOCABULARY, Metric

OTHER = "other"
"""The label of every tenant that is not named, and of every tier that nobody knows."""

NAMED = 50
"""Tenants that may be named; those beyond are ``other``."""


class Tally:
    """One series of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Iterable[float]) -> None:
        """As many more."""
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and how many are not above, as Prometheus writes them."""
        names = [*map(str, self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class Metrics(Collector):
    """The measures of one stage. A word that is not in the vocabulary cannot be said."""

    def __init__(self, stage: str, tenants: Collection[str] = ()) -> None:
        self.stage = stage
        self.tier_of: Callable[[str], str] = lambda _: OTHER
        """A tenant's tier, or "other"."""

        self.look: list[Callable[[], None]] = []
        """Called before the measures are read: each sets its gauges."""

        self._named = frozenset(sorted(tenants)[:NAMED])
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {each: defaultdict(float) for each in VOCABULARY}
        self._tallies: dict[Metric, Tally] = {}
        for metric in VOCABULARY:
            if metric.kind == "histogram":
                self._tallies[metric] = Tally(metric.buckets)
            elif not metric.labels:
                self._values[metric][()] = 0
            for start in metric.starts:
                self._values[metric][start,] = 0

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """*by* more."""
        self._values[metric][labels] += by

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """It is *value* now."""
        self._values[metric][labels] = value

    def clear(self, metric: Metric) -> None:
        """Nothing is known of it now."""
        self._values[metric].clear()

    def tally(self, metric: Metric) -> Tally:
        """The histogram, for who observes often."""
        return self._tallies[metric]

    def total(self, metric: Metric, *labels: str) -> float:
        """What is counted, of these labels or of all together."""
        values = self._values[metric]
        return values[labels] if labels else sum(values.values())

    def totals(self) -> dict[str, float]:
        """Every count that is not zero, by the last part of its name, for one line of a log."""
        counts = {
            metric.name.removeprefix("headrace_"): self.total(metric)
            for metric in VOCABULARY
            if metric.kind == "counter"
        }
        return {name: count for name, count in counts.items() if count}

    def tenant(self, name: str) -> tuple[str, str]:
        """Its labels: tier, and its name where it may be said."""
        return self.tier_of(name), name if name in self._named else OTHER

    def text(self) -> bytes:
        """The measures in Prometheus' text format."""
        for each in self.look:
            each()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Everything, for a registry of prometheus-client."""
        for metric in VOCABULARY:
            yield self._histogram(metric) if metric.kind == "histogram" else self._family(metric)

    def _family(self, metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.says, labels=("stage", *metric.labels))
        for labels, value in self._values[metric].items():
            family.add_metric((self.stage, *labels), value)
        return family

    def _histogram(self, metric: Metric) -> HistogramMetricFamily:
        tally = self._tallies[metric]
        family = HistogramMetricFamily(metric.name, metric.says, labels=("stage",))
        family.add_metric((self.stage,), tally.buckets(), tally.total)
        return family
