"""Find a free loopback port, or check that a requested port is free."""

from __future__ import annotations

import socket

from ops.embedded.errors import PortTakenError

LOOPBACK = "127.0.0.1"


def free(other: int = 0) -> int:
    """Return a port that is free now and is not ``other``. Another process may bind it before the caller does."""
    with socket.create_server((LOOPBACK, 0)) as bound:
        port = int(bound.getsockname()[1])
    return free(other) if port == other else port


def is_free(port: int) -> bool:
    """Return True if no process listens on ``port``."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


def must_be_free(port: int, what: str) -> None:
    """Raise PortTakenError if a process already listens on ``port``."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise PortTakenError(what, port) from error
