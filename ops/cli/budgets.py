"""``headrace budgets``: set and show what a tenant, its users and its agents may spend on model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ops.tenancy import Tenancy
    from schemas.tenants import Tenant

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Set and show budgets of tokens and money.")
Tokens = Annotated[str | None, typer.Option(metavar="N", help="Input and output tokens: 100000, 100k, 5M; none lifts.")]
Usd = Annotated[str | None, typer.Option(metavar="USD", help="US dollars: 200, 0.50; none lifts.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@app.command("set")
def set_(  # noqa: PLR0913, PLR0917 - one argument an option
    tenant: Annotated[str, typer.Argument(help="Its id.")],
    of: Annotated[
        str, typer.Option(metavar="SPENDER", help="tenant: all together; user or agent: each one by itself.")
    ] = "tenant",
    tokens_per_minute: Tokens = None,
    tokens_per_day: Tokens = None,
    tokens_per_month: Tokens = None,
    usd_per_day: Usd = None,
    usd_per_month: Usd = None,
    soft: Annotated[float | None, typer.Option(help="Share of a limit that raises an alert: 0.8.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a tenant's limits, and leave those that are not named. Running workers take them over within a second.

    What is spent already counts. Days and months are those of UTC.
    """
    import asyncio

    from ops.budgets.changes import with_budgets
    from ops.cli import output
    from ops.cli.amounts import dollars, tokens

    counts = {
        "tokens_per_minute": tokens_per_minute,
        "tokens_per_day": tokens_per_day,
        "tokens_per_month": tokens_per_month,
    }
    money = {"usd_per_day": usd_per_day, "usd_per_month": usd_per_month}
    limits: dict[str, float | None] = {
        **{name: tokens(text) for name, text in counts.items() if text is not None},
        **{name: dollars(text) for name, text in money.items() if text is not None},
    }
    changed = asyncio.run(_tenancy().alter(tenant, lambda known: with_budgets(known, of, limits, soft)))
    if as_json:
        output.line({"tenant": changed.id, **changed.budgets.model_dump()})
    else:
        _print_limits(changed)


def _print_limits(tenant: Tenant) -> None:
    from ops.cli import output
    from ops.cli.budget_rows import limit_rows

    rows = limit_rows(tenant.budgets)
    if not rows:
        output.text(f"{tenant.id} has no budget")
        return
    output.table("", ("of", "limit", "in force"), rows)
    output.text(f"an alert is raised at {tenant.budgets.soft:.0%} of a daily or monthly limit")


@app.command("show")
def show(
    tenant: Annotated[str | None, typer.Argument(help="Its id; without one, all tenants with a budget.")] = None,
    users: Annotated[bool, typer.Option("--users", help="Show the users that have spent most this month.")] = False,
    agents: Annotated[bool, typer.Option("--agents", help="Show the agents that have spent most this month.")] = False,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Count the usage records of this month too, and show the difference.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the usage, the share and the state of each limit.

    States: ok; soft, from where an alert is raised; exhausted; rebuilding, while calls are refused. A request that runs
    is in the counts after each of its calls, and in the ledger once it has ended.
    """
    import asyncio

    kinds = (*(("user",) if users else ()), *(("agent",) if agents else ()))
    asyncio.run(_show(tenant, kinds, ledger=ledger, as_json=as_json))


async def _show(name: str | None, kinds: tuple[str, ...], *, ledger: bool, as_json: bool) -> None:
    from ops.budgets.desk import budget_desk
    from ops.cli import output
    from ops.cli.budget_rows import COLUMNS, use_row
    from ops.cli.command_settings import begun_anywhere
    from ops.connection import command_connection

    settings = begun_anywhere()
    rows: list[tuple[object, ...]] = []
    async with budget_desk(settings, command_connection(settings)) as desk:
        for tenant in desk.tenants(name):
            for use in (await desk.report(tenant, kinds, recount=ledger)).limits():
                if as_json:
                    output.line({"tenant": tenant.id, **use.row()})
                rows.append((tenant.id, *use_row(use, ledger=ledger)))
    if not rows:
        output.note(f"{name or 'no tenant'} has {'no' if name else 'a'} budget")
    elif not as_json:
        output.table("", ("tenant", *COLUMNS, *(("ledger", "difference") if ledger else ())), rows)


@app.command("rebuild")
def rebuild(tenant: Annotated[str, typer.Argument(help="Its id.")], as_json: AsJson = False) -> None:
    """Drop a tenant's counts, and count its usage records of this month again.

    Calls wait meanwhile. What calls without a known usage were charged is dropped too.
    """
    import asyncio

    asyncio.run(_rebuild(tenant, as_json=as_json))


async def _rebuild(name: str, *, as_json: bool) -> None:
    from ops.budgets.desk import budget_desk
    from ops.cli import output
    from ops.cli.command_settings import begun_anywhere
    from ops.connection import command_connection
    from schemas.usage import usd_of

    settings = begun_anywhere()
    async with budget_desk(settings, command_connection(settings)) as desk:
        (tenant,) = desk.tenants(name)
        use = await desk.rebuild(tenant.id)
    usd = usd_of(use.month_pico)
    if as_json:
        output.line({"tenant": name, "tokens": use.month_tokens, "usd": usd})
    else:
        output.text(f"{name} is rebuilt: {use.month_tokens:,} tokens and ${usd:,.2f} this month")


def _tenancy() -> Tenancy:
    from ops.cli.command_settings import begun_anywhere
    from ops.connection import command_connection
    from ops.tenancy import Tenancy

    settings = begun_anywhere()
    return Tenancy(command_connection(settings), settings)
