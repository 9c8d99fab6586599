"""``headrace guard``: judge texts as the guards of a stage do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer

if TYPE_CHECKING:
    from ops.guard_check import CheckedLine, GuardCheck
    from ops.settings import Settings
    from schemas.tenants import Tenant

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Try the guards on your own texts.")

ANYONE = "check"
"""The tenant that texts are judged for if none is named."""

Stage = Literal["input", "tool", "output"]
Channel = Literal["request", "tool_result", "memory", "tool_call", "answer"]


@app.callback()
def guard() -> None:
    """Try the guards on your own texts."""


@app.command("check")
def check(
    stage: Annotated[Stage, typer.Option(help="The stage whose guards judge.")] = "input",
    tenant: Annotated[
        str | None, typer.Option(help="Use the settings of this tenant's record. Default: those of the platform.")
    ] = None,
    guards: Annotated[
        Path | None, typer.Option(help="Use the settings of this JSON file, as in a tenant's record.")
    ] = None,
    channel: Annotated[
        Channel | None, typer.Option(help="Channel of texts that name none. Default: the usual one of the stage.")
    ] = None,
    stream: Annotated[
        int | None,
        typer.Option(min=1, help="Also judge each text in deltas of so many characters, as it would stream."),
    ] = None,
) -> None:
    """Judge texts without running an agent: one JSON object a line on standard input, one verdict a line.

    A line has "text" (or "input"), and may have "id", "channel", "tool" and "instructions". Exit with 1 if a line
    cannot be read; all others are judged. With --stream, "stream" has the action, the text that leaves, and the most
    characters that were held back.
    """
    import asyncio

    from ops.errors import OperationError, UsageError

    if tenant and guards:
        raise UsageError("--tenant and --guards exclude each other")
    if stream and stage != "output":
        raise UsageError("--stream needs --stage output: nothing else is streamed")
    if faults := asyncio.run(_check(stage, tenant, guards, channel, stream)):
        raise OperationError(f"{faults} lines could not be read")


async def _check(
    stage: Stage, tenant: str | None, guards: Path | None, channel: Channel | None, stream: int | None
) -> int:
    from functools import partial

    from consumers.context import StepContext
    from consumers.guard.content import Content
    from consumers.guard.registry import GuardConfigError
    from consumers.guard.stream_guards import stream_guard
    from ops.errors import InvalidError
    from ops.guard_check import GuardCheck
    from ops.guard_settings import guard_registry
    from ops.guard_streams import StreamCheck
    from ops.isolation.text_processes import text_processes
    from schemas.clock import SystemClock

    settings, judged_for = await _settings_and_tenant(tenant, guards)
    async with text_processes() as work:
        registry = guard_registry(settings, work)
        try:
            pipeline = registry.pipeline(judged_for.guards)
            streamed = (
                StreamCheck(partial(stream_guard, registry, tenant=judged_for.guards), stream) if stream else None
            )
            if streamed:
                streamed.make(Content(""))
        except GuardConfigError as error:
            raise InvalidError(str(error)) from error
        context = StepContext(tenant=judged_for, clock=SystemClock())
        return await _print(GuardCheck(pipeline, stage, context, channel, streamed))


async def _print(guard_check: GuardCheck) -> int:
    """Print a line for each line of input. Return the number of those that cannot be read."""
    import asyncio

    from ops.guard_check import chunks_of_lines

    faults, chunks = 0, chunks_of_lines(_standard_input())
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        faults += sum(not _printed(each) for each in await guard_check.judged(chunk))
    return faults


def _standard_input() -> BinaryIO:
    """Return standard input. Raise InvalidError if the caller has closed it."""
    import sys

    from ops.errors import InvalidError

    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - Python leaves it out then
        raise InvalidError("standard input is closed: give one JSON object a line")
    return sys.stdin.buffer


def _printed(checked: CheckedLine) -> bool:
    from ops.cli import output

    if checked.output is None:
        output.note(f"line {checked.number}: {checked.fault}")
        return False
    output.line(checked.output, with_nulls=True)
    return True


@app.command("calibrate")
def calibrate(
    false_alarms: Annotated[
        float, typer.Option(help="Wanted share of benign texts that are blocked.", min=1e-6, max=0.5)
    ],
    flag_false_alarms: Annotated[
        float | None,
        typer.Option(help="Wanted share that is flagged or blocked. Default: four times --false-alarms.", max=0.9),
    ] = None,
    stage: Annotated[Literal["input"], typer.Option(help="The stage of the guard.")] = "input",  # noqa: ARG001 - the one
    guard: Annotated[Literal["injection"], typer.Option(help="The guard whose thresholds are wanted.")] = "injection",
    channel: Annotated[Channel, typer.Option(help="The channel of the texts.")] = "request",
    guards: Annotated[
        Path | None, typer.Option(help="Use the other settings of this JSON file, as in a tenant's record.")
    ] = None,
) -> None:
    """Find thresholds from benign texts, one JSON object a line on standard input.

    Prints one line of JSON: "guards" has the settings for `headrace tenants set --guards` and HEADRACE_GUARDS, "flag"
    and "block" have the achieved rates, each with its upper bound at 95 % confidence.
    """
    import asyncio

    from ops.cli import output
    from ops.guard_calibration import benign_texts

    if flag_false_alarms is None:
        flag_false_alarms = min(4 * false_alarms, 0.9)
    texts = benign_texts(_standard_input())
    output.line(asyncio.run(_calibrate(texts, guard, channel, guards, (flag_false_alarms, false_alarms))))


async def _calibrate(
    texts: list[str], guard: str, channel: Channel, guards: Path | None, rates: tuple[float, float]
) -> dict[str, Any]:
    from consumers.context import StepContext
    from ops.guard_calibration import Calibration
    from ops.guard_settings import guard_registry
    from ops.isolation.text_processes import text_processes
    from schemas.clock import SystemClock

    settings, judged_for = await _settings_and_tenant(None, guards)
    async with text_processes() as work:
        pipeline = guard_registry(settings, work).pipeline(judged_for.guards)
        context = StepContext(tenant=judged_for, clock=SystemClock())
        return await Calibration(pipeline, context, guard, channel).report(texts, *rates)


async def _settings_and_tenant(name: str | None, file: Path | None) -> tuple[Settings, Tenant]:
    """Return the settings, and the tenant of the registry or one of these guard settings."""
    from ops.cli.command_settings import begun, begun_anywhere
    from ops.guard_settings import guards_in
    from schemas.tenants import Tenant

    if name is None:
        return begun(), Tenant(id=ANYONE) if file is None else Tenant(id=ANYONE, guards=guards_in(file))
    from ops.connection import command_connection
    from ops.tenancy import Tenancy

    settings = begun_anywhere()
    return settings, await Tenancy(command_connection(settings), settings).one(name)
