"""Names of a worker's process for brokers, dead letters and spans, and for the parent that expels it when it dies."""

from __future__ import annotations

import os
import socket


def process_name() -> str:
    """Return the name of this process in dead letters and spans."""
    return f"{socket.gethostname()}-{os.getpid()}"


def client_name(stage: str, pid: int) -> str:
    """Return the client id of a worker on this host. It names the host: two hosts may use the same process id."""
    return f"headrace-{stage}-{socket.gethostname()}-{pid}"
