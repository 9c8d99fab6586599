"""The order of entries: a finished step stays finished, with its first outcome."""

from __future__ import annotations

from consumers.agent.journal.port import Entry


def newer(stored: Entry | None, entry: Entry) -> Entry:
    """Return the stored entry, unless the other one is the first of the step, or the first that has finished."""
    finishes = stored is not None and stored.state == "started" and entry.state == "finished"
    return entry if stored is None or finishes else stored
