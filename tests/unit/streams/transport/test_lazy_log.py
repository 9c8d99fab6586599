"""A logger that costs nothing until it logs."""

from __future__ import annotations

import subprocess
import sys

from structlog.testing import capture_logs

from streams.transport.lazy_log import LazyLog, configure_by


def test_logging_is_configured_once_before_the_first_line() -> None:
    """A command that logs nothing configures nothing."""
    configured: list[str] = []
    configure_by(lambda: configured.append("configured"))
    log = LazyLog()
    assert configured == []

    with capture_logs() as lines:
        log.warning("result_unreadable", faults=2)
        log.debug("batch_inspected")

    assert configured == ["configured"]
    assert [line["event"] for line in lines] == ["result_unreadable", "batch_inspected"]


def test_the_client_of_a_command_imports_neither_structlog_nor_rich() -> None:
    """Each would cost more than the request."""
    check = "import sys, ops.client, ops.cli.submissions; print({'structlog', 'rich'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
