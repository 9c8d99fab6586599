"""``headrace cancel``: cancel a request."""

from __future__ import annotations

from typing import Annotated

import typer


def cancel(
    tenant: Annotated[str, typer.Option(help="Tenant id; the tenant must be interactive.")],
    request: Annotated[str, typer.Option(help="Tenant id.")],
    source: Annotated[
        str | None, typer.Option(help="The ce_source of the request; by default that of `headrace submit`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Cancel a request. If it has no result yet, its result says cancelled; this command does not wait for it."""
    import asyncio

    from ops.cli import output
    from ops.cli.command_settings import begun_anywhere
    from ops.client import cancel as send
    from producers.requests import SOURCE

    asyncio.run(send(begun_anywhere(), tenant, request, source=source or SOURCE))
    if as_json:
        output.line({"request_id": request, "control": "cancel"})
    else:
        output.note(f"{request} is to be cancelled, if it is not answered yet")
