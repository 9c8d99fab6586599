"""``headrace tenants``: register, change, remove and list the tenants that may use the platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ops.tenancy import Tenancy
    from schemas.tenants import Tenant

SHIPPED = ("assistant", "echo")
"""The agents that every worker has."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add and show tenants.")
Tools = Annotated[
    list[str] | None,
    typer.Option("--tool", help="AGENT=TOOL,TOOL: the tools that this agent may use for the tenant; AGENT= for none."),
]
Accepted = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-taint",
        metavar="TOOL=SOURCE,SOURCE",
        help="Untrusted sources that may influence the calls of a tool: tool:NAME, memory:NAME or * (any: dangerous);"
        " TOOL= for none.",
    ),
]
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
    tool: Tools = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests admitted and not finished at one time.")] = None,
    partitions: Annotated[int, typer.Option(help="Partitions of each of its topics.")] = 1,
    interactive: Annotated[bool, typer.Option("--interactive", help="Create topics for events and control.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until a stage serves the tenant.")] = True,
    as_json: AsJson = False,
) -> None:
    """Register a tenant, and return when it is served."""
    import asyncio

    from ops.cli.tool_lists import tool_lists
    from schemas.tenants import Limits, Tenant

    limits = {key: value for key, value in (("rpm", rpm), ("concurrency", concurrency)) if value is not None}
    fields: dict[str, Any] = {"id": tenant, "tier": tier, "identity": identity, "name": name, "partitions": partitions}
    record = Tenant.model_validate(
        {
            **fields,
            "interactive": interactive,
            "agents": tuple(agent or SHIPPED),
            "tools": tool_lists(tool or ()),
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
        state = "is being served" if wait else "is registered"
        output.text(f"{record.id} {state}; it may call {', '.join(record.agents)}")


@app.command("set")
def set_(  # noqa: PLR0913, PLR0917 - one argument an option
    tenant: Annotated[str, typer.Argument(help="Its id.")],
    tier: Annotated[str | None, typer.Option(help="Weight and metrics label.")] = None,
    identity: Annotated[str | None, typer.Option(help="topic or signed.")] = None,
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="An agent it may call, may be repeated; replaces all others.")
    ] = None,
    tool: Tools = None,
    any_tool: Annotated[
        list[str] | None, typer.Option(metavar="AGENT", help="Lift the list of --tool: the agent may use all its own.")
    ] = None,
    accept_taint: Accepted = None,
    reply_topic: Annotated[
        list[str] | None, typer.Option(help="A topic that reply_to may name, may be repeated; replaces all others.")
    ] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE:NAME=VALUE", help="off, on, shadow, default or a JSON object; may be repeated."),
    ] = None,
    guards_file: Annotated[
        Path | None, typer.Option(help="A JSON file with all guard settings; replaces those of the tenant.")
    ] = None,
    interactive: Annotated[bool | None, typer.Option("--interactive", help="Add topics for events, control.")] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute; 0: no limit.")] = None,
    rpm_per_agent: Annotated[int | None, typer.Option(help="Requests a minute of each agent; 0: no limit.")] = None,
    rpm_per_user: Annotated[int | None, typer.Option(help="Requests a minute of each caller; 0: no limit.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests admitted and not finished at one time.")] = None,
    default_deadline: Annotated[str | None, typer.Option(help="Of a request that names none: 30s, 5m.")] = None,
    max_deadline: Annotated[str | None, typer.Option(help="The longest deadline: 1h.")] = None,
    max_wait: Annotated[str | None, typer.Option(help="Longest wait of a request for admission: 24h.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a tenant, and leave all that is not named as it is. Running stages take it over within a second."""
    import asyncio

    from ops.cli import output
    from ops.cli.durations import seconds
    from ops.cli.guard_changes import guard_changes, with_guards
    from ops.cli.taint_lists import taint_lists
    from ops.cli.tool_lists import tool_lists
    from ops.guard_settings import guards_in
    from ops.tenant_changes import changed, with_taint, with_tools

    rates = {"rpm": rpm, "rpm_per_agent": rpm_per_agent, "rpm_per_user": rpm_per_user}
    times = {"default_deadline": default_deadline, "max_deadline": max_deadline, "max_wait": max_wait}
    limits: dict[str, Any] = {
        **{key: value or None for key, value in rates.items() if value is not None},
        **{key: seconds(text) for key, text in times.items() if text is not None},
        **({} if concurrency is None else {"concurrency": concurrency}),
    }
    given = {"tier": tier, "identity": identity, "name": name, "agents": agent, "reply_topics": reply_topic}
    fields = {key: value for key, value in {**given, "interactive": interactive}.items() if value is not None}
    lists, cleared, accepted = tool_lists(tool or ()), any_tool or (), taint_lists(accept_taint or ())
    guards, all_guards = guard_changes(guard or ()), guards_in(guards_file) if guards_file else None

    def change(known: Tenant) -> Tenant:
        settings = with_guards(all_guards or known.guards, guards)
        return with_taint(with_tools(changed(known, {**fields, "guards": settings}, limits), lists, cleared), accepted)

    record = asyncio.run(_tenancy().alter(tenant, change))
    output.line(record) if as_json else output.text(f"{record.id} is changed: {record.model_dump_json()}")


@app.command("remove")
def remove(
    tenant: Annotated[str, typer.Argument(help="Its id.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds that its admitted requests may take to end.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Stop admission of a tenant, and wait until its admitted requests have ended.

    Its further requests are refused as tenant_removed. Its topics and data remain; `tenants add` admits it again.
    """
    import asyncio

    asyncio.run(_remove(tenant, wait, as_json=as_json))


async def _remove(name: str, wait: float, *, as_json: bool) -> None:
    from ops.cli import output

    tenancy = _tenancy()
    await tenancy.remove(name)
    await tenancy.drained(name, wait, lambda running: output.note(f"{running} of its requests still run"))
    if as_json:
        output.line(await tenancy.one(name))
    else:
        output.text(f"{name} is removed; its topics and data remain")


@app.command("repair")
def repair(
    tenant: Annotated[str, typer.Argument(help="Its id.")],
    plan: Annotated[bool, typer.Option("--plan", help="Show the places, and free none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Free places in concurrency and sessions that requests hold although nothing is left to run.

    Print the places first. One is freed only if no topic of the platform holds its request, or if the request's
    deadline passed more than an hour ago. A lost request gets a failed result.
    """
    import asyncio

    asyncio.run(_repair(tenant, plan=plan, as_json=as_json))


async def _repair(tenant: str, *, plan: bool, as_json: bool) -> None:
    from ops.cli import output
    from ops.cli.command_settings import begun_anywhere
    from ops.connection import connection_of
    from ops.repair import Repair
    from schemas.clock import SystemClock

    repair = Repair(connection_of(begun_anywhere()), SystemClock(), tenant)
    places = await repair.plan()
    rows = [place.row() for place in places]
    if as_json:
        for row in rows:
            output.line({"action": "free", **row})
    elif rows:
        output.table("", tuple(rows[0]), [tuple(row.values()) for row in rows])
    freed = 0 if plan or not places else await repair.free(places)
    if as_json:
        output.line({"tenant": tenant, "leaked": len(places), "freed": freed})
    elif plan and places:
        output.text(f"{len(places)} places leaked: `headrace tenants repair {tenant}` frees them")
    else:
        output.text(f"{freed} places freed" if places else "no place leaked")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Print every tenant."""
    import asyncio

    from ops.cli import output
    from ops.cli.budget_rows import limited

    found = asyncio.run(_tenancy().all())
    if as_json:
        for tenant in found.values():
            output.line(tenant)
        return
    rows = [
        (each.id, each.state, each.tier, each.identity, ", ".join(each.agents), each.limits.rpm, limited(each.budgets))
        for each in found.values()
    ]
    output.table("", ("tenant", "state", "tier", "identity", "agents", "rpm", "budgets"), rows)


@app.command("show")
def show(tenant: Annotated[str, typer.Argument(help="Tenant id.")], as_json: AsJson = False) -> None:
    """Print one tenant's record."""
    import asyncio

    from ops.cli import output
    from ops.terminal import escaped_json

    found = asyncio.run(_tenancy().one(tenant))
    if as_json:
        output.line(found)
    else:
        output.text(escaped_json(found.model_dump_json(indent=2)))


def _tenancy() -> Tenancy:
    from ops.cli.command_settings import begun_anywhere
    from ops.connection import command_connection
    from ops.tenancy import Tenancy

    settings = begun_anywhere()
    return Tenancy(command_connection(settings), settings)
