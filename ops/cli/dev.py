"""``headrace dev``: run a whole platform on this machine until Ctrl-C."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    import asyncio

    from ops.dev.platform import DevPlatform


def dev(  # noqa: PLR0913, PLR0917 - the options of a command
    scenario: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="With --scripted: rules for the answers (docs/reference/scenarios.md)."),
    ] = None,
    scripted: Annotated[
        bool,
        typer.Option("--scripted", help="Use a scripted model, which calls the tools that a request names."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder that keeps the data; without it, the data is deleted at the end."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Kafka's port; 0 takes a free one. Default: 19092, unless it is taken."),
    ] = None,
    journey: Annotated[
        Literal["compact", "split"] | None,
        typer.Option(help="compact (the default): auth and guard in one stage. With --use-cluster, the cluster's."),
    ] = None,
    agents: Annotated[
        str | None, typer.Option(help="Module of your agents: package.module[:attribute]; reloaded on change.")
    ] = None,
    record_aot: Annotated[
        bool,
        typer.Option(
            "--record-aot", help="Record a cache that makes later starts faster; this stop takes about 15 s longer."
        ),
    ] = False,
    use_cluster: Annotated[
        bool,
        typer.Option("--use-cluster", help="Join the cluster that HEADRACE_KAFKA_* name, and change no tenant there."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Give the terminal to the agent worker: breakpoint() works, edits do not reload."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when ready.")] = False,
) -> None:
    """Run Kafka, Valkey, a model and every stage on this machine, and reload your agents when they change.

    HEADRACE_KAFKA_*, HEADRACE_VALKEY_URL and HEADRACE_SEAL_SECRET are ignored, unless --use-cluster is given.
    """
    import asyncio
    import functools
    import sys

    from ops import import_guard
    from ops.agent_check import names_of
    from ops.cli import output, stack
    from ops.cli.command_settings import local_settings_with
    from ops.dev.platform import DevPlan, Startup
    from ops.dev.stage_output import console_line, plain_line
    from ops.errors import InvalidError

    script = stack.scenario_of(scenario, scripted=scripted)

    if debug and not sys.stdin.isatty():
        raise InvalidError("--debug needs a terminal: breakpoint() reads from it")
    settings = local_settings_with(agents, use_cluster=use_cluster)
    import_guard.add_user_folder(Path.cwd(), settings.agents)
    recording = record_aot or (sys.stderr.isatty() and not as_json)
    with stack.folder_of(data) as folder, stack.download_bar(quiet=as_json) as progress:

        async def main() -> None:
            names = await names_of(settings.agents)
            if not as_json:
                output.note(stack.STARTING)
            found = await stack.journey_for(settings, journey)
            plan = DevPlan(
                folder,
                data is None,
                output.note,
                names,
                found,
                port,
                recording,
                reload=not debug,
                debug=debug,
                shown=console_line if sys.stderr.isatty() else plain_line,
                progress=progress,
                scripted=script,
            )
            announce = functools.partial(_stay, journey=found, folder=folder, as_json=as_json)
            await stack.use(Startup.begin(settings, plan), announce)

        asyncio.run(main())


async def _stay(platform: DevPlatform, stop: asyncio.Event, *, journey: str, folder: Path, as_json: bool) -> None:
    with _findable(platform):
        if as_json:
            _announce(platform, journey, folder)
        else:
            _show(platform, folder)
        await stop.wait()


def _findable(platform: DevPlatform) -> AbstractContextManager[None]:
    """Let commands find a platform's own cluster for the block."""
    from ops.dev_state import announced
    from ops.settings import state_folder

    if not platform.cluster_id:
        return nullcontext()
    bootstrap = platform.settings.kafka_bootstrap or ""
    return announced(state_folder(), bootstrap, platform.cluster_id, platform.valkey)


def _announce(platform: DevPlatform, journey: str, folder: Path) -> None:
    from ops.cli import output

    output.line(
        {
            "event": "ready",
            "kafka": platform.settings.kafka_bootstrap,
            "valkey": platform.valkey,
            "http": platform.http,
            "http_sd": platform.discovery,
            "workers": platform.workers(),
            "tenants": [tenant.id for tenant in platform.tenants],
            "pids": platform.pids(),
            "journey": journey,
            "model": platform.model,
            "logs": str(folder),
        }
    )


def _export(platform: DevPlatform) -> str:
    """Return the line that leads commands to a cluster of others. They find a platform's own one by themselves."""
    return "" if platform.cluster_id else f"  export HEADRACE_KAFKA_BOOTSTRAP={platform.settings.kafka_bootstrap}\n"


def _show(platform: DevPlatform, folder: Path) -> None:
    from ops.cli import output

    output.table("Headrace is up", ("", ""), [*platform.rows().items(), ("logs", folder)])
    output.note(
        "\nIn another terminal, with the same Python environment:\n"
        f"{_export(platform)}"
        '  headrace submit --tenant acme --agent echo --wait "hello"\n'
        '  headrace submit --tenant acme --agent assistant --wait "What is the capital of France?"\n'
        "  headrace results --tenant acme --follow\n"
        "\nCtrl-C drains and stops, a second one stops at once."
    )
