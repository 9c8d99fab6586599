"""End a stage that is told to stop while it still imports its code. Import this module before any other."""

from __future__ import annotations

import os
import signal

RUN = "run"
"""The command that starts a stage."""


def install() -> None:
    """Exit with status 0 on SIGTERM or SIGINT: nothing is open yet. The stage's own handlers replace these."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))


def install_for(arguments: list[str]) -> None:
    """Install the handlers if the *arguments* of the command line start a stage."""
    if arguments[:1] == [RUN]:
        install()
