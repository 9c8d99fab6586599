"""The output guard of a stream: an answer is guarded while it is written, and no part of a match leaves.

The stages of a stream guard run one after another, as the guards of the whole text do. Each stage reads the text that
the stage before it releases, and holds back what a later delta may change. For every text and every split of it into
deltas, the released parts together equal the whole text's redaction (tested at every cut).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from schemas.errors import BlockedError

HELD_LIMIT: Final = 16 * 1024
"""Bytes of UTF-8 that a stream may hold back. A stream that would have to hold more is blocked."""


class StreamStage(Protocol):
    """One guard of a stream. It judges one stream, once, and keeps its state."""

    def feed(self, delta: str, /) -> str:
        """Return the part of the text so far that may leave now. Raise BlockedError if none of it may."""
        ...

    def finish(self) -> str:
        """Return the rest of the text, after its last delta. Raise BlockedError if it may not leave."""
        ...

    @property
    def held(self) -> str:
        """The text that is held back."""
        ...


@dataclass(slots=True)
class StreamGuard:
    """Guards one answer: feed it each delta, and send on only its results.

    After a BlockedError the stream is over. The caller sends ``retracted``, since a part of the answer may have left.
    """

    stages: Sequence[StreamStage]
    _over: bool = field(default=False, init=False)

    def feed(self, delta: str) -> str:
        """Return the text that may leave now, possibly none. Raise BlockedError if the answer must not go on."""
        self._check_open()
        try:
            for stage in self.stages:
                delta = stage.feed(delta)
            self._check_held()
        except BlockedError:
            self._over = True
            raise
        return delta

    def finish(self) -> str:
        """Return the rest of the answer. Raise BlockedError if it must not leave."""
        self._check_open()
        self._over = True
        rest = ""
        for stage in self.stages:
            rest = stage.feed(rest) + stage.finish()
        return rest

    def _check_open(self) -> None:
        if self._over:
            raise RuntimeError("the stream is over: make a new StreamGuard for each answer")

    def _check_held(self) -> None:
        held = [stage.held for stage in self.stages]
        if 4 * sum(map(len, held)) > HELD_LIMIT and sum(len(each.encode()) for each in held) > HELD_LIMIT:
            raise too_much_held()


def too_much_held() -> BlockedError:
    """Return the error of a stream that would have to hold back more than HELD_LIMIT."""
    return BlockedError(
        "the output guard blocked the answer: it cannot be judged in parts of 16 KiB",
        detail="held: a partial match is longer than the limit",
    )
