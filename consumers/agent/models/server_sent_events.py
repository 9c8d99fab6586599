"""Server-sent events: the data of each event in a stream of bytes, within bounds (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.errors import ModelUnreadableError

EVENT_LIMIT = 1024 * 1024
"""Bytes of one event."""

_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class EventReader:
    """Cuts a stream into events. Comments, names, ids and retry times are dropped."""

    _rest: bytearray = field(default_factory=bytearray)
    """The last line, whose end has not arrived."""

    _data: list[bytes] = field(default_factory=list[bytes])
    _size: int = 0
    _begun: bool = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data of each event that *piece* completes. Raise ModelUnreadableError for one over the limit."""
        held = self._rest.endswith(b"\r")
        self._rest += piece
        if not held and b"\n" not in piece and b"\r" not in piece:
            self._check(len(self._rest))
            return
        held = self._rest.endswith(b"\r")  # its line feed may be in the next piece
        lines = bytes(self._rest).removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = bytearray(lines.pop() + (b"\r" if held else b""))
        self._check(len(self._rest))
        for line in lines:
            if (event := self._line(self._first(line))) is not None:
                yield event

    def end(self) -> Iterator[bytes]:
        """Yield the data of an event that the end of the stream cut: some providers omit the last blank line."""
        for line in (bytes(self._rest).removesuffix(b"\r"), b""):
            if (event := self._line(self._first(line))) is not None:
                yield event

    def _first(self, line: bytes) -> bytes:
        """Return the line without a byte order mark, if it is the first one."""
        begun, self._begun = self._begun, True
        return line if begun else line.removeprefix(_BOM)

    def _line(self, line: bytes) -> bytes | None:
        """Return the data of an event if the line ends one."""
        if not line:
            return self._event()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._size += len(value)
            self._check(self._size)
            self._data.append(value.removeprefix(b" "))
        return None

    def _event(self) -> bytes | None:
        data, self._data, self._size = self._data, [], 0
        return b"\n".join(data) if data else None

    def _check(self, size: int) -> None:
        if size > EVENT_LIMIT:
            raise ModelUnreadableError(f"an event of the provider's stream is longer than {EVENT_LIMIT} bytes")
