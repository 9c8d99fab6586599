"""The limits of a journal: sizes, numbers of steps, step ids, and the time for which a journal is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

from consumers.agent.journal.port import ENTRY_LIMIT, Entry
from schemas.errors import TooLargeError

STEPS_LIMIT = 2_000
"""Steps of one run."""

BYTES_LIMIT = 16 << 20
"""Bytes of all values of one run."""

SHORTEST_MS = 3_600_000
"""Milliseconds for which a journal is kept at least: a wrong clock must not end it while its run goes on."""

LONGEST_MS = 367 * 86_400_000
"""Milliseconds for which a journal is kept at most: a day above the longest deadline of a tenant."""

_STEP = re.compile(r"[ -~]{1,200}")


def check_entries(entries: Iterable[Entry]) -> None:
    """Raise TooLargeError for a value above ``ENTRY_LIMIT``, and ValueError for a step id that is not allowed."""
    for entry in entries:
        check_value(entry.step, entry.value)
        if not _STEP.fullmatch(entry.step):
            raise ValueError(f"the step id {entry.step[:200]!r} is not 1 to 200 printable ASCII characters")


def check_value(step: str, value: bytes) -> None:
    """Raise TooLargeError for a value above ``ENTRY_LIMIT``."""
    if len(value) > ENTRY_LIMIT:
        raise TooLargeError(f"the outcome of step {step[:200]!r} has {len(value)} bytes; the limit is {ENTRY_LIMIT}")


def too_many_steps() -> TooLargeError:
    """Return the error of a run with more than ``STEPS_LIMIT`` steps."""
    return TooLargeError(f"the run has more than {STEPS_LIMIT} steps")


def too_many_bytes() -> TooLargeError:
    """Return the error of a run with more than ``BYTES_LIMIT`` bytes."""
    return TooLargeError(f"the outcomes of the run's steps have more than {BYTES_LIMIT} bytes")


def lifetime_ms(expires_ms: int, now_ms: int, shortest_ms: int = SHORTEST_MS) -> int:
    """Return the milliseconds for which a journal is kept from now on."""
    return min(max(expires_ms - now_ms, shortest_ms), LONGEST_MS)
