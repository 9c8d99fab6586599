"""``headrace demo``: run a temporary platform with real requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ops.dev.demo_requests import DemoOutcome
    from ops.dev.platform import DevPlatform
    from ops.settings import Settings


def demo(
    scenario: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="With --scripted: rules for the answers (docs/reference/scenarios.md)."),
    ] = None,
    scripted: Annotated[
        bool,
        typer.Option("--scripted", help="Use a scripted model, which calls the tools that a request names."),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the platform running until Ctrl-C.")] = False,
    agents: Annotated[str | None, typer.Option(help="Module of your agents: package.module[:attribute].")] = None,
    use_cluster: Annotated[
        bool,
        typer.Option("--use-cluster", help="Join the cluster that HEADRACE_KAFKA_* name, and change no tenant there."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one result a line.")] = False,
) -> None:
    """Start everything in a temporary folder, submit requests of two tenants, and print their results.

    HEADRACE_KAFKA_*, HEADRACE_VALKEY_URL and HEADRACE_SEAL_SECRET are ignored, unless --use-cluster is given; that
    cluster has to have the tenants acme and globex.
    """
    import asyncio

    from ops import import_guard
    from ops.agent_check import names_of
    from ops.cli import output, stack
    from ops.cli.command_settings import local_settings_with
    from ops.dev.platform import DevPlan, Startup

    script = stack.scenario_of(scenario, scripted=scripted)
    settings = _with_demo_agents(local_settings_with(agents, use_cluster=use_cluster))
    import_guard.add_user_folder(Path.cwd(), settings.agents)
    with stack.kept_if_it_fails() as folder, stack.download_bar(quiet=as_json) as progress:

        async def show(platform: DevPlatform, stop: asyncio.Event) -> None:
            await _show(platform, stop, folder, keep=keep, as_json=as_json)

        async def main() -> None:
            names = await names_of(settings.agents)
            if not as_json:
                output.note(stack.STARTING)
            journey = await stack.journey_for(settings)
            plan = DevPlan(
                folder,
                temporary=True,
                tell=output.note,
                agents=names,
                journey=journey,
                progress=progress,
                scripted=script,
            )
            await stack.use(Startup.begin(settings, plan), show)

        asyncio.run(main())


def _with_demo_agents(settings: Settings) -> Settings:
    """Return settings with the agents of the scripted half, unless the user or the cluster has agents of its own."""
    from ops.dev.demo_requests import AGENTS

    if settings.agents is not None or settings.kafka_bootstrap is not None:
        return settings
    return settings.model_copy(update={"agents": AGENTS})


async def _show(platform: DevPlatform, stop: asyncio.Event, folder: Path, *, keep: bool, as_json: bool) -> None:
    from ops.cli import output
    from ops.dev.demo_requests import play
    from ops.errors import DemoFailedError

    played = await play(platform.settings)
    if as_json:
        for each in played:
            output.line({"tenant": each.scene.tenant, "as_expected": each.as_expected, **each.result.model_dump()})
    else:
        _print(played)
        output.note(_models(platform, played))
    if wrong := sum(not each.as_expected for each in played):
        raise DemoFailedError(wrong, folder)
    if keep:
        output.note(_where_to_look(platform, folder))
        await stop.wait()


def _print(played: Sequence[DemoOutcome]) -> None:
    from ops.cli import output

    rows = [
        (
            each.scene.tenant,
            " → ".join((each.result.agent, *each.result.handoffs)),
            each.scene.request.text,
            each.result.status,
            each.result.error.message if each.result.error else output.text_of(each.result.output),
            "as expected" if each.as_expected else "NOT AS EXPECTED",
        )
        for each in played
    ]
    output.table("", ("tenant", "agent", "asked", "", "answer", ""), rows)


def _models(platform: DevPlatform, played: Sequence[DemoOutcome]) -> str:
    """Return the lines that name the model of each answer."""
    small = ", a very small model on this machine, for trying things" if "model" in platform.pids() else ""
    lines = [f"assistant: answered by {platform.model}{small}."]
    if any(each.result.handoffs for each in played):
        lines.append("helpdesk: a tool call and a handoff, answered by a script (ops/dev/demo_agents.py).")
    return "\n".join(lines)


def _where_to_look(platform: DevPlatform, folder: Path) -> str:
    from schemas.topics import RESULTS

    kafka = platform.settings.kafka_bootstrap
    topic = RESULTS.of("acme")
    return (
        f"\nStill up: {platform.http} (Ctrl-C stops it), logs in {folder}.\n"
        f"  kcat -b {kafka} -X isolation.level=read_committed -t {topic} -f '%k %h\\n%s\\n'\n"
        f"  HEADRACE_KAFKA_BOOTSTRAP={kafka} headrace results --tenant acme"
    )
