"""``headrace chaos``: inject faults into a whole platform, and count the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ops.lab.chaos.report import Report


def chaos(
    seed: Annotated[int, typer.Option(help="Seed of faults and load. The timing of processes is not seeded.")] = 1,
    requests: Annotated[int, typer.Option(min=1, help="Requests to send, without duplicates.")] = 5_000,
    minutes: Annotated[float, typer.Option(min=0.1, max=120, help="Minutes of load and faults.")] = 5,
    brokers: Annotated[int, typer.Option(min=1, max=3, help="Number of brokers: 1 or 3.")] = 1,
    journey: Annotated[Literal["compact", "split"], typer.Option(help="compact: auth and guard in one.")] = "compact",
    faults: Annotated[
        str,
        typer.Option(
            help="Comma-separated: kill, stop, term, scale, broker, coordinator, rolling, late, cut, lost, slow,"
            " freeze, reset, latency (network: these seven), disk, clock, valkey."
        ),
    ] = "all",
    tenant_copies: Annotated[
        int,
        typer.Option(
            min=0,
            max=3,
            help="Of the tenants' topics; 0: one on each broker. 1: a dead broker's topics have no leader.",
        ),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as one JSON object.")] = False,
) -> None:
    """Run a separate platform under faults, and print the loss table. Exit code 0 only if every promise was kept."""
    import asyncio

    from ops import logs
    from ops.cli import output, stack
    from ops.cli.command_settings import local_settings_with
    from ops.errors import ChaosError, InvalidError
    from ops.lab.chaos.faults import kinds
    from ops.lab.chaos.report import ChaosPlan
    from ops.lab.chaos.run import run

    if brokers == 2:  # noqa: PLR2004 - of two, none may fail
        raise InvalidError("--brokers is 1 or 3: of two, neither may be away")
    if tenant_copies > brokers:
        raise InvalidError(f"--tenant-copies is {tenant_copies}, and there are {brokers} brokers")
    settings = local_settings_with(None)
    logs.configure(settings, command=True, stage="chaos")
    try:
        chosen = kinds(faults.split(","), brokers)
    except ValueError as error:
        raise InvalidError(str(error)) from error
    with stack.kept_if_it_fails() as folder:
        plan = ChaosPlan(seed, requests, minutes, brokers, journey, tuple(chosen), tenant_copies)
        report = asyncio.run(run(plan, settings, folder))
        if as_json:
            output.line(report.row())
        else:
            _show(report)
        if not report.verdict.clean:
            raise ChaosError(seed, folder)


def _show(report: Report) -> None:
    from ops.cli import output

    row = report.row()
    shown = {"faults": report.dealt, "dealt": None}
    rows = [(name.replace("_", " "), shown.get(name, value)) for name, value in row.items() if name != "dealt"]
    output.table("Loss table", ("", ""), rows)
