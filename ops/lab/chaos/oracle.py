"""Check the promises after a chaos run: compare the ledger of sent requests with a fresh reader's results."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ops.lab.chaos.ledger import SUCCEEDS, LedgerEntry
from schemas.records import Partition


class Seen(NamedTuple):
    """One result as a reader of committed records finds it."""

    tenant: str
    request_id: str
    status: str


@dataclass(frozen=True, slots=True)
class OracleReport:
    """The counts of a run. All must be 0 except ``sent`` and ``answered``, which must be equal."""

    sent: int
    answered: int
    """Requests of the ledger with at least one result."""

    lost: int
    answered_twice: int
    """Results beyond the first of their request."""

    out_of_order: int
    """Results that come after a later one of their session."""

    unsuccessful: int
    """Results with a status that their request may not have. Most requests may only succeed."""

    unknown: int
    """Results of requests that were never sent."""

    open: int
    """Requests that the admission log still counts as open."""

    behind: int
    """Records that a group has not committed."""

    @property
    def clean(self) -> bool:
        """True if every promise was kept."""
        faults = (self.lost, self.answered_twice, self.out_of_order, self.unsuccessful)
        return not any((*faults, self.unknown, self.open, self.behind))


def judge(sent: Sequence[LedgerEntry], seen: Sequence[Seen], *, open_: int, behind: int) -> OracleReport:
    """Compare *sent* with *seen*. Pass the results of one session in the order of their log."""
    expected = {(each.tenant, each.request_id): each.may for each in sent}
    found = Counter((each.tenant, each.request_id) for each in seen)
    known = {key: count for key, count in found.items() if key in expected}
    return OracleReport(
        sent=len(expected),
        answered=len(known),
        lost=len(expected) - len(known),
        answered_twice=sum(known.values()) - len(known),
        out_of_order=_out_of_order(sent, seen),
        unsuccessful=sum(each.status not in expected.get((each.tenant, each.request_id), SUCCEEDS) for each in seen),
        unknown=sum(found.values()) - sum(known.values()),
        open=open_,
        behind=behind,
    )


def _out_of_order(sent: Iterable[LedgerEntry], seen: Iterable[Seen]) -> int:
    """Count results that follow a later one of their session, by first results only. Duplicates count elsewhere."""
    lanes: dict[tuple[str, str], tuple[str, int]] = {}
    lengths: Counter[str] = Counter()
    for each in sent:
        if each.session is not None:
            lane = f"{each.tenant}|{each.session}"
            lanes[each.tenant, each.request_id] = (lane, lengths[lane])
            lengths[lane] += 1
    furthest: dict[str, int] = defaultdict(lambda: -1)
    late, answered = 0, set[tuple[str, str]]()
    for one in seen:
        key = (one.tenant, one.request_id)
        if key in answered or key not in lanes:
            continue
        answered.add(key)
        lane, number = lanes[key]
        late += number < furthest[lane]
        furthest[lane] = max(furthest[lane], number)
    return late


def behind(committed: Mapping[Partition, int], ends: Mapping[Partition, int]) -> int:
    """Return the number of uncommitted records below the ends. A partition without an offset counts fully."""
    return sum(max(0, end - committed.get(place, 0)) for place, end in ends.items())
