"""The sources that an agent has read at its place in a run, in the order of their first texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from consumers.agent.provenance import Source


@dataclass(slots=True)
class SourceLog:
    """Sources without repeats. None is ever removed, and a trusted one does not replace an untrusted one."""

    _sources: dict[Source, None] = field(default_factory=dict[Source, None])

    def note(self, *sources: Source) -> None:
        """Add sources."""
        self._sources |= dict.fromkeys(sources)

    def copy(self) -> SourceLog:
        """Return a log that goes on from here by itself: a delegate's reading is its own until it answers."""
        return SourceLog(dict(self._sources))

    def __iter__(self) -> Iterator[Source]:
        return iter(self._sources)

    @property
    def ordered(self) -> tuple[Source, ...]:
        """The sources in an order that does not depend on time, to store them."""
        return tuple(sorted(self._sources, key=lambda each: (each.kind, each.name, each.trusted)))
