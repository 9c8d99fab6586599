"""How a worker's process is called: by brokers, in letters and spans, and by the parent that has to speak for it."""

from __future__ import annotations

import os
import socket


def process_name() -> str:
    """Of this process, as letters and spans name it."""
    return f"{socket.gethostname()}-{os.getpid()}"


def client_name(stage: str, pid: int) -> str:
    """The client id of a worker on this host. Two hosts may well have workers with the same process id."""
    return f"headrace-{stage}-{socket.gethostname()}-{pid}"
