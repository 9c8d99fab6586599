"""Long texts are worked on in processes of their own: the loop goes on, and tenants take turns."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from consumers.guard.content import Content
from consumers.guard.guards import Policy
from consumers.guard.normalise import Normalise, normalise
from consumers.guard.pipeline import Pipeline, always
from consumers.guard.screen import Screen
from ops.isolation.text_child import NICENESS
from ops.isolation.text_processes import TextProcesses, text_processes
from schemas.errors import GuardUnavailableError, TooLargeError
from tests.unit.consumers.guard.fakes import authorized, context, normaliser, spec

pytestmark = pytest.mark.anyio

MIB = 1 << 20
UNITS = {
    "ASCII": "An honest text. ",
    "Latin": "Grüße aus Zürich, ça va? ",
    "CJK": "日本語の文章です。",
    "full width": "Ｉｇｎｏｒｅ",
    "Hangul jamo": "\u1100\u1161\u11a8",
    "Arabic": "السلام عليكم ",
    "Persian with joiners": "می\u200cخواهم ",
    "Devanagari": "क्\u200dषनमस्ते ",
    "Mongolian": "\u1820\u180b",
    "combining marks": "x" + "\u0316\u0301" * 14,
    "emoji": "👨\u200d👩\u200d👧\u200d👦",
    "selectors": "❤\ufe0f",
    "tags": "\U000e0041a",
    "bidi controls": "\u202ea",
    "joiners": "a\u200d",
    "growing": "\u3300",
    "growing most": "\ufdfa",
    "growing much": "\ufdfb",
    "base64": "aWdub3Jl ",
    "percent": "%61 ",
}


async def longest_hold(stop: asyncio.Event) -> float:
    """The longest time for which the loop did not run this, less the CPU time that others took from it."""
    worst, before, cpu = 0.0, time.monotonic(), time.thread_time()
    while not stop.is_set():
        await asyncio.sleep(0.001)
        now, used = time.monotonic(), time.thread_time()
        worst = max(worst, min(now - before, used - cpu))
        before, cpu = now, used
    return worst


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
async def test_a_megabyte_of_any_text_holds_no_loop(unit: str) -> None:
    """Fifty milliseconds of the loop's own CPU time are the bound."""
    text = unit * (MIB // len(unit.encode()))
    stop = asyncio.Event()
    async with text_processes() as work, asyncio.TaskGroup() as group:
        held = group.create_task(longest_hold(stop))
        try:
            judgement = await Normalise(work)(Content(text), context())
            assert judgement.text is not None
            views = await work("acme", "packed_views", judgement.text, "")
            assert len(views) == (unit in {UNITS["base64"], UNITS["percent"]})
        except TooLargeError:
            assert unit in {UNITS["growing most"], UNITS["growing much"]}
        stop.set()
    assert held.result() < 0.05


async def test_the_result_is_that_of_the_normaliser() -> None:
    """A process changes where it is done, and nothing else."""
    text = "Ｈi \U000e0041\U000e0042\u202ethere " * 1_000
    async with text_processes() as work:
        judgement = await Normalise(work)(Content(text), context())
    normal = normalise(text)
    assert (judgement.text, judgement.hidden) == (normal.text, normal.hidden)
    assert judgement.evidence == tuple((found.start, found.end) for found in normal.finds[:64])
    assert judgement.note == "bidi controls, hidden tags"


async def test_one_tenants_flood_delays_no_other_tenant() -> None:
    """Sixty texts of a megabyte wait; the text of another tenant does not wait behind them."""
    flood = "\U000e0041a" * (MIB // 5)
    finished: list[str] = []

    async def send(tenant: str, text: str) -> None:
        await work(tenant, "normal_change", text)
        finished.append(tenant)

    async with text_processes() as work, asyncio.TaskGroup() as group:
        floods = [group.create_task(send("acme", flood)) for _ in range(60)]
        await asyncio.sleep(0.05)
        await group.create_task(send("globex", "é\u200b" * 20_000))
        assert finished.count("acme") <= 2
        for task in floods:
            task.cancel()


async def test_waiting_is_not_a_time_out_and_a_late_guard_blocks_nothing() -> None:
    """Each of the texts has its whole time once its turn has come."""
    text = "\U000e0041a" * 20_000
    async with text_processes() as work:
        await work("acme", "normal_change", text)  # the process has started
        began = time.monotonic()
        await work("acme", "normal_change", text)
        once = time.monotonic() - began
        policy = Policy(timeout=max(1.0, 20 * once))
        guards = Pipeline(input=[spec("normalise", Normalise(work), policy, rewrites=True)])
        async with asyncio.TaskGroup() as group:
            count = int(2 * policy.timeout / once)
            tasks = [group.create_task(guards.input(Content(text), context())) for _ in range(count)]
    assert {task.result().action for task in tasks} == {"flag"}


async def test_a_process_that_dies_makes_the_guard_unavailable_and_is_replaced() -> None:
    """The client may send the request again, and finds a new process."""
    text = "\U000e0041a" * 200_000
    async with text_processes() as work:
        screen = Screen(always(normaliser(work)))
        asked = asyncio.create_task(screen(authorized(text), context()))  # noqa: TID251 - it must fail alone
        while not (found := _children()):  # noqa: ASYNC110 - the process is the event
            await asyncio.sleep(0.001)
        os.kill(found[0], signal.SIGKILL)
        with pytest.raises(GuardUnavailableError, match="normalise could not judge in time: send the request again"):
            await asked
        screened = await screen(authorized(text), context())
    assert screened.verdicts[0].action == "flag"
    assert _children() == []


async def test_a_cancelled_caller_keeps_the_process() -> None:
    """A tenant whose requests expire must not make us start processes."""
    text = "\U000e0041a" * 100_000
    async with text_processes() as work:
        await work("acme", "normal_change", "x")
        before = _children()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await work("acme", "normal_change", text)
        assert (await work("acme", "normal_change", "x\u200b"))[0] == "x"
        assert _children() == before


async def test_the_process_has_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no secret, so it has none."""
    monkeypatch.setenv("HEADRACE_SEAL_SECRET", "k1:c2VjcmV0")
    async with text_processes() as work:
        await work("acme", "normal_change", "x")
        (child,) = _children()
        assert b"HEADRACE" not in Path(f"/proc/{child}/environ").read_bytes()


async def test_the_process_yields_to_the_worker() -> None:
    """Linux may compare sessions instead of processes, and the process has a session of its own."""
    async with text_processes() as work:
        await work("acme", "normal_change", "x")
        (child,) = _children()
        assert os.getpriority(os.PRIO_PROCESS, child) == os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
        autogroup = Path(f"/proc/{child}/autogroup")
        assert not autogroup.exists() or autogroup.read_text().split()[1:] in ([], ["nice", str(NICENESS)])


async def test_a_stop_does_not_wait_for_the_texts_that_wait() -> None:
    """The one in work ends as unavailable, and no process stays."""
    text = "\U000e0041a" * 200_000

    async def asks() -> str:
        try:
            await work("acme", "normal_change", text)
        except GuardUnavailableError:
            return "unavailable"
        return "done"

    async with asyncio.TaskGroup() as group:
        async with text_processes() as work:
            await work("acme", "normal_change", "x")
            tasks = [group.create_task(asks()) for _ in range(20)]
            await asyncio.sleep(0.05)
        assert _children() == []
        assert sum(task.done() for task in tasks) <= 1
        for task in tasks:
            task.cancel()


async def test_work_without_processes_waits() -> None:
    """It begins once they are served."""
    work = TextProcesses()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await work("acme", "normal_change", "x")


def _children() -> list[int]:
    """The processes for text work that this process has started."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and f"\nPPid:\t{os.getpid()}\n" in (entry / "status").read_text()
            if ours and b"text_child" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
