"""``headrace tenants``: register and list the tenants that may use the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ops.tenancy import Tenancy
    from schemas.tenants import Tenant

SHIPPED = ("assistant", "echo")
"""The agents that every worker has."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add and show tenants.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@app.command("add")
def add(  # noqa: PLR0913, PLR0917 - one argument an option
    tenant: Annotated[str, typer.Argument(help="Tenant id: a-z, 0-9 and -, at most 63 characters.")],
    tier: Annotated[str, typer.Option(help="Tier: sets the scheduling weight and a metrics label.")] = "standard",
    identity: Annotated[
        str, typer.Option(help="Identity mode: topic (the broker's access list decides) or signed.")
    ] = "topic",
    name: Annotated[str, typer.Option(help="Display name.")] = "",
    agent: Annotated[
        list[str] | None,
        typer.Option(help="Agent that the tenant may call; may be repeated. Default: assistant and echo."),
    ] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests admitted and not finished at one time.")] = None,
    partitions: Annotated[int, typer.Option(help="Partitions of each of its topics.")] = 1,
    interactive: Annotated[bool, typer.Option("--interactive", help="Create topics for events and control.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until a stage serves the tenant.")] = True,
    as_json: AsJson = False,
) -> None:
    """Register a tenant, and return when it is served."""
    import asyncio

    from schemas.tenants import Limits, Tenant

    limits = {key: value for key, value in (("rpm", rpm), ("concurrency", concurrency)) if value is not None}
    fields: dict[str, Any] = {"id": tenant, "tier": tier, "identity": identity, "name": name, "partitions": partitions}
    record = Tenant.model_validate(
        {
            **fields,
            "interactive": interactive,
            "agents": tuple(agent or SHIPPED),
            "limits": Limits.model_validate(limits),
        }
    )
    asyncio.run(_add(record, wait=wait, as_json=as_json))


async def _add(record: Tenant, *, wait: bool, as_json: bool) -> None:
    from ops.cli import output

    tenancy = _tenancy()
    await tenancy.add(record)
    if wait:
        await tenancy.served(record)
    if as_json:
        output.line(record)
    else:
        print(f"{record.id} {'is being served' if wait else 'is registered'}; it may call {', '.join(record.agents)}")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Print every tenant."""
    import asyncio

    from ops.cli import output

    found = asyncio.run(_tenancy().all())
    if as_json:
        for tenant in found.values():
            output.line(tenant)
        return
    rows = [(each.id, each.tier, each.identity, ", ".join(each.agents), each.limits.rpm) for each in found.values()]
    output.table("", ("tenant", "tier", "identity", "agents", "rpm"), rows)


@app.command("show")
def show(tenant: Annotated[str, typer.Argument(help="Tenant id.")], as_json: AsJson = False) -> None:
    """Print one tenant's record."""
    import asyncio

    from ops.cli import output

    found = asyncio.run(_tenancy().one(tenant))
    if as_json:
        output.line(found)
    else:
        print(found.model_dump_json(indent=2))


def _tenancy() -> Tenancy:
    from ops.cli.command_settings import begun
    from ops.connection import connection_of
    from ops.tenancy import Tenancy

    settings = begun()
    return Tenancy(connection_of(settings), settings)
