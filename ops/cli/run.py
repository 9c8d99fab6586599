"""``headrace run STAGE``: run one stage with the environment's settings, in this process or in several."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


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
    if count == 1:
        run_alone(stage, settings)
    else:
        asyncio.run(run_many(stage, count, settings))
