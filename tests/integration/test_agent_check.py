"""The user's module is imported in a process of its own, before anything else starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.agent_check import names_of
from ops.errors import AgentsError
from ops.failures import trace_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the user works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_the_users_agents_are_named(folder: Path) -> None:
    """Without the built-in ones. Neither lines of the module's own nor its threads are in the way."""
    text = "import threading, time\nfrom headrace import Agent\nprint('[\"odd\"]')\n"
    text += "threading.Thread(target=time.sleep, args=(600,)).start()\na, b = Agent('one'), Agent('two')\n"
    (folder / "mine.py").write_text(text)

    assert await names_of("mine") == ("one", "two")
    assert await names_of("mine:b") == ("two",)
    assert await names_of(None) == ()


async def test_a_module_that_fails_is_one_line_with_its_place(folder: Path) -> None:
    """The traceback is there for who wants it, with HEADRACE_LOG_LEVEL=debug."""
    (folder / "mine.py").write_text("x = 1\nraise KeyError('no shop')\n")

    with pytest.raises(AgentsError) as caught:
        await names_of("mine")

    assert str(caught.value) == f"{folder}/mine.py:2: KeyError: 'no shop'"
    assert "raise KeyError('no shop')" in trace_of(caught.value)


async def test_a_module_that_ends_its_process_is_named(folder: Path) -> None:
    """A native library may abort; nothing else knows why."""
    (folder / "mine.py").write_text("import os\nos._exit(9)\n")

    with pytest.raises(AgentsError, match="mine: its import ended the process with status 9"):
        await names_of("mine")


async def test_an_import_that_stays_is_given_up_with_its_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that waits for a service at import would wait for ever."""
    (folder / "mine.py").write_text("import threading\n\nthreading.Event().wait()\n")

    with pytest.raises(AgentsError) as caught:
        await names_of("mine")

    assert str(caught.value) == f"{folder}/mine.py:3: the import did not end within 20 s"
