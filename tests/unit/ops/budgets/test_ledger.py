"""The reading of usage records."""

from __future__ import annotations

from typing import cast

from structlog.testing import capture_logs

from consumers.agent.budget.port import TENANT
from ops.budgets.ledger import UsageLedger
from ops.budgets.sums import AccountSums
from schemas.records import Record
from schemas.topics import USAGE
from streams.transport.reader import Reader
from tests.unit.ops.budgets.test_sums import TODAY, usage


def record(key: bytes | None, value: bytes | None) -> Record:
    """A record of the topic."""
    return Record(topic=USAGE.name, partition=0, offset=1, timestamp=1, key=key, value=value, headers=())


def ledger() -> UsageLedger:
    """A ledger of acme that reads no topic."""
    return UsageLedger(cast("Reader", None), {"acme": AccountSums(TODAY)})


def test_a_run_counts_once() -> None:
    """A copy of a record may follow a loss of the brokers' data."""
    book, value = ledger(), usage(tokens=5).model_dump_json().encode()

    assert [book.take(record(b"acme", value)) is not None for _ in range(2)] == [True, False]
    assert next(each.tokens for each in book.accounts["acme"].totals() if each.spender == TENANT) == 5


def test_other_tenants_and_unreadable_records_are_passed() -> None:
    """A damaged record must not keep a tenant without its budget."""
    book, value = ledger(), usage(tokens=5).model_dump_json().encode()
    late = usage(tokens=5).model_copy(update={"at_ms": 10**17}).model_dump_json().encode()

    with capture_logs() as logs:
        for key, content in ((b"globex", value), (None, value), (b"acme", None), (b"acme", b"{"), (b"acme", late)):
            assert book.take(record(key, content)) is None
    assert [each["event"] for each in logs] == ["usage_record_unreadable"] * 2
    assert not book.accounts["acme"].totals()
