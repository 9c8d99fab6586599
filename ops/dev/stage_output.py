"""Show the output of a stage's process: what agents print, its errors, and blocks of its event loop.

The process writes to its log file, and this module reads the file. A pipe would block the worker, and cost it its
shards, while the terminal is stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

LOOK_S = 0.1
CHUNK = 65_536
"""The most bytes that are read at a time, and the longest line."""

LEVELS, EVENTS = frozenset({"error", "critical"}), frozenset({"loop_blocked"})
"""Levels and events of the log lines that are shown. The file has all of them."""

LineForm: TypeAlias = Callable[[str, str], str | None]
"""Returns the text to show for a stage and one of its lines, or None."""

CLIENT = "aiokafka."
"""Begins the events of Kafka's client, which reports what it then repeats by itself."""

_HEAD = ("timestamp", "level", "event", "stage", "exception")


def plain_line(stage: str, line: str) -> str | None:
    """Return a log line as it is, JSON, and any other with the stage's name."""
    event = _event(line)
    if event is None:
        return f"{stage} | {line}"
    return line if _is_shown(event) else None


def console_line(stage: str, line: str) -> str | None:
    """Return a line for a person: a log line as words, an exception below it with the user's code first."""
    event = _event(line)
    if event is None:
        return f"{stage} | {line}"
    if not _is_shown(event):
        return None
    fields = [f"{name}={value}" for name, value in event.items() if name not in _HEAD and value is not None]
    lines = [" ".join([str(event["level"]), str(event["event"]), *fields])]
    for error in event.get("exception") or ():
        lines += _traceback(error)
    return "\n".join(f"{stage} | {each}" for text in lines for each in text.splitlines())


def _is_shown(event: dict[str, Any]) -> bool:
    own = not str(event["event"]).startswith(CLIENT)
    return (own and event["level"] in LEVELS) or event["event"] in EVENTS


def _traceback(error: dict[str, Any]) -> list[str]:
    """Return an exception's message and places. Headrace's own errors have none to look at."""
    message = str(error.get("message", ""))
    if "code" in error:
        return [f"  {message}"]
    return [f"  {error.get('type')}: {message}", *(f"    {place}" for place in error.get("at", ()))]


def _event(line: str) -> dict[str, Any] | None:
    """Return the log event in *line*, or None if it is none: an agent may print JSON too."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    is_event = isinstance(event, dict) and {"level", "event", "timestamp"} <= event.keys()
    return event if is_event else None


@dataclass(slots=True)
class StageOutput:
    """The output of one stage. Its file is renamed when the stage starts again; the old one is read to its end."""

    stage: str
    path: Path
    tell: Callable[[str], None]
    shown: LineForm
    _file: int | None = None
    _rest: bytes = field(default=b"")

    async def follow(self) -> None:
        """Show new lines until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Show the lines that are new."""
        with suppress(FileNotFoundError):
            while self._read():
                pass
            if self._is_renamed():
                self._close()
                self.look()

    def _read(self) -> bool:
        """Show the lines of one chunk. Return False at the end of the file."""
        if self._file is None:
            self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        new = os.read(self._file, CHUNK)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._show(line)
        if len(self._rest) > CHUNK:
            self._flush()
        return bool(new)

    def _is_renamed(self) -> bool:
        return self._file is not None and os.fstat(self._file).st_ino != self.path.stat().st_ino

    def _close(self) -> None:
        self._flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _flush(self) -> None:
        if self._rest:
            self._show(self._rest)
            self._rest = b""

    def _show(self, line: bytes) -> None:
        shown = self.shown(self.stage, line.decode(errors="replace"))
        if shown is not None:
            self.tell(shown)
