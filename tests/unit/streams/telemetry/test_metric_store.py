"""What is measured is said in the words of the vocabulary, and never in more series than were meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from streams.telemetry import metric_definitions
from streams.telemetry.metric_definitions import Metric
from streams.telemetry.metric_store import NAMED, OTHER, MetricStore
from tests.contract.planted import ROOT

PAGE = ROOT / "docs" / "reference" / "metrics.md"


def samples(measured: MetricStore) -> Iterator[Sample]:
    """What a Prometheus server would read."""
    for family in text_string_to_metric_families(measured.text().decode()):
        yield from family.samples


def test_prometheus_reads_what_was_measured() -> None:
    """By its own parser: counts, gauges, and histograms whose buckets add up."""
    measured = MetricStore("agent")
    measured.count(metric_definitions.TRANSACTIONS, "fenced")
    measured.set(metric_definitions.LAG_RECORDS, 7)
    for seconds in (0.004, 0.005, 0.03, 4_000):
        measured.tally(metric_definitions.TRANSACTION_SECONDS).observe(seconds)

    read = {(each.name, each.labels.pop("stage"), *each.labels.values()): each.value for each in samples(measured)}

    assert read["headrace_transactions_total", "agent", "fenced"] == 1
    assert read["headrace_transactions_total", "agent", "committed"] == 0
    assert read["headrace_lag_records", "agent"] == 7
    assert read["headrace_transaction_seconds_bucket", "agent", "0.005"] == 2
    assert read["headrace_transaction_seconds_bucket", "agent", "0.05"] == 3
    assert read["headrace_transaction_seconds_bucket", "agent", "+Inf"] == 4
    assert read["headrace_transaction_seconds_count", "agent"] == 4
    assert read["headrace_transaction_seconds_sum", "agent"] == pytest.approx(4_000.039)


def test_ten_thousand_tenants_make_no_more_series_than_are_named() -> None:
    """A label that a client can fill would fill the memory of whoever scrapes it."""
    measured = MetricStore("agent", ["tenant-7", "tenant-9"])

    for number in range(10_000):
        measured.count(metric_definitions.RESULTS, "succeeded", *measured.tenant(f"tenant-{number}"))

    tenants = {each.labels["tenant"]: each.value for each in samples(measured) if "tenant" in each.labels}
    assert tenants == {"tenant-7": 1, "tenant-9": 1, OTHER: 9_998}


def test_not_even_an_operator_names_more_tenants_than_the_cap() -> None:
    """The list comes from the environment, where somebody may put all of them."""
    measured = MetricStore("agent", [f"tenant-{number}" for number in range(1_000)])

    assert len({measured.tenant(f"tenant-{number}")[1] for number in range(1_000)}) == NAMED + 1


def test_a_word_that_is_not_in_the_vocabulary_cannot_be_said() -> None:
    """What nobody has described, nobody can look for."""
    with pytest.raises(KeyError):
        MetricStore("agent").count(Metric("headrace_surprises", "counter", "Not listed."))


def test_every_word_of_the_module_is_in_the_vocabulary() -> None:
    """A metric that was forgotten there would raise only when it is used."""
    words = {each for each in vars(metric_definitions).values() if isinstance(each, Metric)}

    assert words == set(metric_definitions.VOCABULARY)
    assert len({each.name for each in words}) == len(metric_definitions.VOCABULARY)


def test_the_page_is_written_from_the_code() -> None:
    """`make docs` writes it again."""
    assert PAGE.read_text(encoding="utf-8") == metric_definitions.page()


def test_every_metric_of_the_page_is_one_that_a_worker_shows() -> None:
    """Whoever builds an alert on it, waits for nothing else."""
    families = {each.name for each in text_string_to_metric_families(MetricStore("agent").text().decode())}
    written = re.findall(r"^\| `(headrace_\w+?)(?:_total)?` ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(written) == len(metric_definitions.VOCABULARY)
    assert set(written) == families


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("transaction failed: FencedError('...')", "transaction"),
        ("open failed: TimeoutError()", "open"),
        ("something new", "other"),
    ],
)
def test_a_reason_to_open_again_has_a_class(reason: str, said: str) -> None:
    """The rest of it names brokers and offsets, of which there is no end."""
    assert metric_definitions.reason_of(reason) == said
