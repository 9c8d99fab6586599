"""``headrace submit``: send one request, or a file of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.errors import InvalidError


def submit(  # noqa: PLR0913, PLR0917 - one argument an option
    tenant: Annotated[str, typer.Option(help="Tenant id.")],
    text: Annotated[str | None, typer.Argument(help="Input text; - reads standard input.")] = None,
    agent: Annotated[str | None, typer.Option(help="Agent that answers; else assistant.")] = None,
    session: Annotated[
        str | None, typer.Option(help="Session id. Requests of one session run one after another.")
    ] = None,
    deadline: Annotated[str | None, typer.Option(help="Time limit of the request: 30s, 2m, 1h.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="key=value, may be repeated.")] = None,
    request_id: Annotated[
        str | None, typer.Option("--id", help="Request id. A request sent twice with one id is answered once.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(dir_okay=False, help="One request object a line; - reads standard input.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests a second, with --file.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result; the exit code says how it ended.")] = False,
    timeout: Annotated[
        str | None, typer.Option(help="Time to wait for the result; by default a little longer than the deadline.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Send a request. Exit codes: 0 succeeded, 1 failed, 2 usage, 3 refused, 4 expired, 5 cancelled."""
    import asyncio

    from ops.cli.command_settings import begun_anywhere
    from ops.cli.durations import seconds
    from ops.cli.submissions import Submissions, lines_of, request_of

    expires = None if deadline is None else seconds(deadline)
    defaults = {"agent": agent, "session": session, "deadline": expires, "metadata": _pairs(metadata or [])}
    if (text is None) == (file is None):
        raise InvalidError("give either a text (- reads it from standard input) or --file")
    requests = lines_of(file, defaults) if file is not None else [request_of(text or "", defaults, request_id)]
    patience = None if timeout is None else seconds(timeout)
    submissions = Submissions(begun_anywhere(), tenant, wait=wait, as_json=as_json, rate=rate, patience=patience)
    raise typer.Exit(asyncio.run(submissions.run(requests)))


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := next((text for text, (_, sign, _) in zip(texts, pairs, strict=True) if not sign), None):
        raise InvalidError(f"--metadata {wrong} is not key=value")
    return {key: value for key, _, value in pairs}
