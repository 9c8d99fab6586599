"""Several processes of one stage: each gets settings of its own."""

from __future__ import annotations

import pytest

from ops.errors import InvalidError, NoBrokerError
from ops.replicas import changes_of, run_many
from ops.settings import Settings


@pytest.mark.parametrize(
    ("port", "ports"),
    [(None, [None] * 3), (0, [0] * 3), (9_100, [9_100, 9_101, 9_102]), (65_533, [65_533, 65_534, 65_535])],
)
def test_the_processes_take_the_port_and_those_after_it(port: int | None, ports: list[int | None]) -> None:
    """A list of targets for Prometheus can be written before they run."""
    given = changes_of(Settings(http_port=port, agents="mine"), 3)

    assert [changes.get("http_port") for changes in given] == ports
    assert {changes["agents"] for changes in given} == {"mine"}


def test_ports_beyond_the_last_one_are_refused_before_a_process_starts() -> None:
    """In one line with the variable, the value and the next step."""
    with pytest.raises(InvalidError, match=r"HEADRACE_HTTP_PORT is `65534`: 3 processes .* write 65533 or less, or 0"):
        changes_of(Settings(http_port=65_534), 3)


@pytest.mark.anyio
async def test_settings_that_no_process_could_use_are_refused_once() -> None:
    """Twenty processes would say it twenty times."""
    with pytest.raises(NoBrokerError):
        await run_many("agent", 20, Settings(kafka_bootstrap=None))
