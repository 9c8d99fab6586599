"""kcat, so that the tests see the wire as a client sees it that has nothing of ours."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

KCAT = "kcat"
READ_S = 30.0


@dataclass(frozen=True)
class Seen:
    """One record as kcat prints it."""

    raw: Mapping[str, Any]

    @property
    def key(self) -> str | None:
        """As text."""
        key: str | None = self.raw["key"]
        return key

    @property
    def value(self) -> str:
        """As text."""
        return str(self.raw["payload"])

    @cached_property
    def json(self) -> dict[str, Any]:
        """The value, if it is JSON."""
        return dict(json.loads(self.value))

    @property
    def headers(self) -> dict[str, str | None]:
        """The first of each name."""
        flat: list[str | None] = list(self.raw.get("headers") or [])
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        return {str(name): value for name, value in reversed(pairs)}

    @property
    def trace_id(self) -> str:
        """Of its ``traceparent``."""
        return str(self.headers["traceparent"]).split("-")[1]


@dataclass(frozen=True)
class Kcat:
    """kcat against one cluster."""

    bootstrap: str

    def produce(
        self,
        topic: str,
        value: bytes,
        *,
        key: str | None = None,
        headers: Iterable[str] = (),
        partition: int | None = None,
    ) -> None:
        """Write one record. A header is ``name=value``, or ``name`` alone for NULL."""
        options = [option for header in headers for option in ("-H", header)]
        options += ["-p", str(partition)] if partition is not None else []
        self._write(topic, value, *options, *(["-k", key] if key is not None else []))

    def tombstone(self, topic: str, key: str) -> None:
        """Write a record whose value is NULL; kcat takes an empty one only beside a key."""
        self._write(topic, f"{key}:".encode(), "-Z", "-K", ":")

    def _write(self, topic: str, what: bytes, *options: str) -> None:
        limit = ["-X", "message.max.bytes=4000000"]
        command = [KCAT, "-P", "-b", self.bootstrap, "-t", topic, "-D", "\x01", *limit, *options]
        subprocess.run(command, input=what, check=True, timeout=READ_S, capture_output=True)

    def read(self, topic: str) -> list[Seen]:
        """Everything committed so far."""
        committed = ["-X", "isolation.level=read_committed"]
        command = [KCAT, "-C", "-b", self.bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-J", *committed]
        answer = subprocess.run(command, check=True, timeout=READ_S, capture_output=True)
        return [Seen(json.loads(line)) for line in answer.stdout.decode(errors="replace").splitlines()]

    def wait(self, topic: str, wanted: Callable[[Seen], bool], count: int = 1, within: float = READ_S) -> list[Seen]:
        """The records that are *wanted*, once there are *count*; the test fails without them."""
        end = time.monotonic() + within
        while True:
            seen = self.read(topic)
            found = [record for record in seen if wanted(record)]
            if len(found) >= count:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{len(found)} of {count} on {topic}; last: {[s.value[:200] for s in seen[-3:]]}")
            time.sleep(0.1)
