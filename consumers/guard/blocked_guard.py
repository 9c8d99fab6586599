"""The guard whose code a stack belongs to, for a report of what blocks the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_stack
from types import FrameType

from consumers.guard.guards import GuardSpec


def blamed_guard(frame: FrameType) -> Mapping[str, object]:
    """Return log fields: the guard that a stack belongs to; none if it belongs to no guard."""
    for each, _ in walk_stack(frame):
        for value in list(each.f_locals.values()):
            if isinstance(value, GuardSpec):
                return {"guard": value.name}
    return {}
