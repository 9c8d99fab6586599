"""The conformance suite of guards: the checks that a guard of any package passes, for tests of its authors."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from consumers.context import StepContext
from consumers.guard.content import Channel, Content
from consumers.guard.guard_contract import GuardContractError, check, check_plugin
from consumers.guard.guard_plugin import GuardPlugin, plugin_of
from consumers.guard.guards import Guard, GuardResult
from consumers.guard.measurement import STOP_S, OverrunError, measured
from consumers.guard.registry import UNCHANGED, GuardConfigError, GuardRegistry, by_name
from consumers.guard.text_threads import text_thread
from schemas.clock import SystemClock
from schemas.errors import GuardUnavailableError, TooLargeError
from schemas.guards import GuardSettings, GuardStage, TenantGuards
from schemas.tenants import Tenant

CANARY: Final = "Zq7-canary-4f1e"
"""A word around the author's texts. It must not appear in a note."""

QUOTED: Final = 8
"""Characters of a match from which a note that contains it quotes the content."""

STEP_S: Final = 0.1
"""CPU seconds for which a guard may hold the event loop."""

GROWTH: Final = 3.0
"""The most by which the time for a character may grow from a text to one of eight times its length."""

MEASURABLE_S: Final = 0.02
"""CPU seconds below which a time says nothing."""

CANCEL_S: Final = 2.0
"""Seconds in which a cancelled guard ends."""

CHANNELS: Final[Mapping[GuardStage, tuple[Channel, ...]]] = {
    "input": ("request", "tool_result", "memory"),
    "tool": ("tool_call",),
    "output": ("answer",),
}

ODD: Final[Mapping[str, str]] = {
    "an empty text": "",
    "white space": " \t\r\n\u2028\u00a0",
    "a NUL": "a\x00b",
    "a lone surrogate": "a\ud800b",
    "a character beyond the BMP": "\U0001f469\u200d\U0001f680 \U0010ffff",
    "combining marks": "e" + "\u0301" * 200,
    "text from right to left": "\u202eabc\u202c \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "tag characters": "a" + "".join(chr(0xE0000 + code) for code in range(0x20, 0x7F)),
    "broken escapes": "%zz %4 \\u12 &#xFFFFFFFF; ${x} {{x}} {0} %s",
    "a long line of digits": "1" * 5_000,
    "many lines": "a\n" * 5_000,
}
"""Texts that every guard must judge, with their descriptions."""

UNITS: Final = ("a", "a ", "1", "@a", "a.", "/", "=", "-\n", "é", "\U0001f600", "<a", '{"a":')
"""Parts that long texts consist of."""


class GuardConformanceError(AssertionError):
    """A guard fails checks of the suite. The message has one line for each."""


async def check_guard(
    guard: GuardPlugin[Any] | Guard,
    *,
    config: Mapping[str, Any] | None = None,
    stages: Collection[GuardStage] = (),
    texts: Iterable[str] = (),
    longest: int = 65_536,
    step: float = STEP_S,
) -> None:
    """Check a guard at its stages, or at these *stages*. Raise GuardConformanceError with everything that it fails.

    *texts* are examples that the guard acts on. Its time is measured on texts of up to *longest* characters, and it may
    hold the event loop for *step* CPU seconds at a time.
    """
    plugin = guard if isinstance(guard, GuardPlugin) else plugin_of(getattr(guard, "__name__", "guard"), guard)
    trial = _Trial(plugin, dict(config or {}), tuple(texts), longest, step)
    if trial.accepts("plugin", check_plugin, plugin):
        for stage in sorted(stages or plugin.stages):
            await trial.at(stage)
    if trial.faults:
        raise GuardConformanceError("\n".join([f"the guard {plugin.name}:", *trial.lines()]))


@dataclass(slots=True)
class _Trial:
    plugin: GuardPlugin[Any]
    config: dict[str, Any]
    texts: tuple[str, ...]
    longest: int
    step: float
    faults: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Each fault with the places of its occurrences."""

    slow: bool = False
    """True if a measurement has failed. The other stages are then not measured."""

    def note(self, fault: str, place: str) -> None:
        self.faults.setdefault(fault, []).append(place)

    def lines(self) -> list[str]:
        return [f"- {fault} ({_places(places)})" for fault, places in self.faults.items()]

    def accepts(self, place: str, checked: Any, *values: Any) -> bool:  # noqa: ANN401 - a check with its values
        try:
            checked(*values)
        except (GuardContractError, GuardConfigError) as error:
            self.note(str(error), place)
            return False
        return True

    async def at(self, stage: GuardStage) -> None:
        registry = GuardRegistry(text_thread, by_name((self.plugin,)), defaults={"input": (), "tool": (), "output": ()})
        settings = {self.plugin.name: GuardSettings(config=self.config)}
        named = UNCHANGED.model_copy(update={stage: settings})
        if not self.accepts(stage, registry.pipeline, named):
            return
        self._refuses_unknown_fields(registry, stage)
        guard = self.plugin.make(self.plugin.config.model_validate(self.config), stage, text_thread)
        contents = self._contents(stage)
        for name, content in contents.items():
            await self._judged(f"{stage}: {name}", guard, content)
        channel = CHANNELS[stage][0]
        for unit in UNITS:
            self.slow = self.slow or not await self._in_linear_time(f"{stage}: {unit!r} repeated", guard, unit, channel)
        if not self.slow:
            await self._cancelled(stage, guard, channel)

    def _refuses_unknown_fields(self, registry: GuardRegistry, stage: GuardStage) -> None:
        odd = {self.plugin.name: GuardSettings(config={**self.config, CANARY: 1})}
        try:
            registry.pipeline(TenantGuards().model_copy(update={stage: odd}))
        except GuardConfigError as error:
            if "\n" in str(error):
                self.note("the error of a wrong configuration has more than one line", stage)
            return
        self.note("it accepts a configuration with an unknown field", stage)

    def _contents(self, stage: GuardStage) -> dict[str, Content]:
        found = {name: Content(text, channel) for name, text in ODD.items() for channel in CHANNELS[stage]}
        for number, text in enumerate(self.texts, 1):
            for channel in CHANNELS[stage]:
                found[f"example {number} as {channel}"] = Content(f"{CANARY} {text} {CANARY}", channel, hidden=text)
        return found

    async def _judged(self, name: str, guard: Guard, content: Content) -> None:
        try:
            async with asyncio.timeout(self.plugin.policy.timeout):
                result = check(await guard(content, _context()), content, rewrites=self.plugin.rewrites)
        except (GuardUnavailableError, TooLargeError):
            return
        except GuardContractError as error:
            self.note(f"{error}", name)
        except TimeoutError:
            self.note(f"it did not judge within its {self.plugin.policy.timeout:g} s", name)
        except Exception as error:  # noqa: BLE001 - a guard may raise anything
            self.note(f"it raised {type(error).__name__}: {error}", name)
        else:
            if _quotes(result, content):
                self.note("its note quotes the content", name)

    async def _in_linear_time(self, name: str, guard: Guard, unit: str, channel: Channel) -> bool:
        """Return False if the times for this unit show that longer texts are not worth trying."""
        before, length = 0.0, self.longest
        for size in (length // 512, length // 64, length // 8, length):
            content = Content(unit * max(1, size // len(unit)), channel)
            try:
                took, held = await measured(guard, content, _context())
            except OverrunError:
                self.note(f"it took more than {STOP_S:g} s of CPU time for {size:,} characters", name)
                return False
            if took > MEASURABLE_S and before and took > 8 * GROWTH * before:
                times = took / before
                self.note(f"{size:,} characters took {times:.0f} times as long as an eighth of them", name)
                return False
            if held > self.step:
                self.note(f"it held the event loop for more than {self.step:g} s of CPU time", name)
                return False
            before = took
        return True

    async def _cancelled(self, stage: GuardStage, guard: Guard, channel: Channel) -> None:
        """Cancel the guard where it first waits. One that never waits needs no cancellation."""
        content = Content("a " * (self.longest // 2), channel)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_ended(guard, content))
            await asyncio.sleep(0)
            if task.done():
                return
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_S)
            if not task.done():
                self.note(f"it did not end within {CANCEL_S:g} s of its cancellation", stage)
                task.cancel()
            elif not task.cancelled():
                self.note("it went on although it was cancelled", stage)


def _places(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]}, and {len(places) - 1} more"


async def _ended(guard: Guard, content: Content) -> None:
    with suppress(Exception):  # ``_judged`` reports what it raises
        await guard(content, _context())


def _context() -> StepContext:
    return StepContext(tenant=Tenant(id="conformance"), clock=SystemClock())


def _quotes(result: GuardResult, content: Content) -> bool:
    matches = (content.text[start:end] for start, end in result.evidence)
    return CANARY in result.note or any(len(match) >= QUOTED and match in result.note for match in matches)
