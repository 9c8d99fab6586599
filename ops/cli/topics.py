"""``headrace topics``: create what a cluster needs before a stage can start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.provision import Provision
    from ops.topology import Change
    from streams.journey import JourneyName

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Create and check the topics, the layout and the first offsets of a cluster.",
)
Shards = Annotated[int | None, typer.Option(help="Shards of a new cluster (default 24). Later changes: relayout.")]
Journey = Annotated[
    Literal["split", "compact"] | None,
    typer.Option(help="Journey of a new cluster (default split). Later changes: relayout."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@app.command("plan")
def plan(shards: Shards = None, journey: Journey = None, as_json: AsJson = False) -> None:
    """Print what apply would do, and what differs; change nothing."""
    import asyncio

    _print(asyncio.run(_provision(shards, journey).plan()), as_json=as_json)


@app.command("apply")
def apply(
    shards: Shards = None,
    journey: Journey = None,
    retire_seal_key: Annotated[
        list[str] | None, typer.Option(help="Id of a seal key to remove from the list, may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics, layout and first offsets that are missing; show what differs, and leave it alone.

    List the seal keys of HEADRACE_SEAL_SECRET: from then on, no stage starts without them.
    """
    import asyncio

    retire = tuple(retire_seal_key or ())
    _print(asyncio.run(_provision(shards, journey, retire).apply()), as_json=as_json)


@app.command("relayout")
def relayout(
    shards: Annotated[int | None, typer.Option(min=1, max=1_024, help="Shards: at least the present number.")] = None,
    journey: Annotated[
        Literal["split", "compact"] | None, typer.Option(help="Journey; by default the present one.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds that workers may take to finish their runs.")] = 120,
    as_json: AsJson = False,
) -> None:
    """Move the cluster to another number of shards, or another journey.

    Workers finish their runs and end; workers that start meanwhile wait. Run it again if it was interrupted.
    """
    import asyncio

    from ops.cli import output
    from ops.cli.command_settings import begun
    from ops.connection import command_connection
    from ops.provision import Wish
    from ops.relayout.relayout import Relayout

    move = Relayout(command_connection(begun()), Wish(shards, journey), output.note, wait)
    _print(asyncio.run(move.apply()), as_json=as_json)


def _provision(shards: int | None, journey: JourneyName | None, retire: tuple[str, ...] = ()) -> Provision:
    from ops.cli import output
    from ops.cli.command_settings import begun
    from ops.connection import command_connection
    from ops.provision import Provision, Wish

    settings = begun()
    return Provision(command_connection(settings), settings, Wish(shards, journey), retire, output.note)


def _print(changes: Sequence[Change], *, as_json: bool) -> None:
    from dataclasses import asdict

    from ops.cli import output

    if as_json:
        for change in changes:
            output.line(asdict(change))
    elif changes:
        output.table("", ("", "what", ""), [(change.action, change.what, change.detail) for change in changes])
    else:
        output.text("everything is as it should be")
