"""``headrace run STAGE``: run one stage with the environment's settings, in this process or in several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ops.settings import Settings


def run(
    stage: Annotated[Literal["auth", "guard", "ingress", "agent", "retries"], typer.Argument(help="Stage to run.")],
    count: Annotated[int, typer.Option(min=1, max=64, help="Number of worker processes.")] = 1,
    agents: Annotated[str | None, typer.Option(help="Module of your agents: package.module[:attribute].")] = None,
) -> None:
    """Run one stage until SIGTERM, then finish its runs and exit 0."""
    import asyncio

    from ops.processes import run_alone
    from ops.replicas import run_many
    from ops.settings import Settings

    settings = Settings.model_validate({} if agents is None else {"agents": agents})
    _log_unknown_settings(settings, stage)
    if count == 1:
        run_alone(stage, settings)
    else:
        asyncio.run(run_many(stage, count, settings))


def _log_unknown_settings(settings: Settings, stage: str) -> None:
    from ops.setting_values import unknown_settings

    if unknown := unknown_settings():
        import structlog

        from ops import logs

        logs.configure(settings, stage=stage)
        for each in unknown:
            structlog.get_logger().warning("setting_ignored", name=each.name, nearest=each.nearest)
