"""Loopback ports: a free one, or the word of whoever asked that it is free."""

from __future__ import annotations

import socket

from ops.embedded.errors import PortTakenError

LOOPBACK = "127.0.0.1"


def free(other: int = 0) -> int:
    """A port that was free a moment ago, and is not ``other``. Whoever binds it must be ready to lose it."""
    with socket.create_server((LOOPBACK, 0)) as bound:
        port = int(bound.getsockname()[1])
    return free(other) if port == other else port


def must_be_free(port: int, what: str) -> None:
    """Raise PortTakenError if somebody listens on ``port`` already."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise PortTakenError(what, port) from error
