"""Submit requests from the command line: read them, send them at a rate, and print their results."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import from_json

from ops.cli import output
from ops.cli.exits import code_of
from ops.client import Client, opened
from ops.errors import InvalidError
from ops.settings import Settings
from ops.terminal import one_line
from schemas.clock import SystemClock
from schemas.errors import Status
from schemas.requests import Request
from schemas.results import Result

if TYPE_CHECKING:
    from rich.progress import Progress

STDIN = "-"
MARGIN_S = 15.0
"""Seconds of waiting beyond the deadline: an expired request gets a result too."""
DEFAULT_DEADLINE_S = 300.0
"""A tenant's default deadline in seconds, unless its record has another."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request to send, and the id that its caller chose for it."""

    request: Request
    request_id: str | None = None


def request_of(text: str, defaults: Mapping[str, Any], request_id: str | None) -> Submission:
    """Return the request that the options describe."""
    given = {name: value for name, value in defaults.items() if value}
    said = sys.stdin.read() if text == STDIN else text
    return Submission(_valid({**given, "input": said}, "the request"), request_id)


def lines_of(file: Path, defaults: Mapping[str, Any]) -> list[Submission]:
    """Return one request for each line of *file*. Options fill in the fields that a line lacks.

    The field ``id`` (or ``request_id``) is the request id. Raises InvalidError if the file or a line cannot be read.
    """
    try:
        text = sys.stdin.read() if str(file) == STDIN else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"{file} cannot be read: {error}") from error
    given = {name: value for name, value in defaults.items() if value}
    rows = [(number, row) for number, row in enumerate(text.splitlines(), 1) if row.strip()]
    return [_line(row, given, f"{file}:{number}") for number, row in rows]


def _line(row: str, given: Mapping[str, Any], place: str) -> Submission:
    try:
        said = from_json(row)
    except ValueError as error:
        raise InvalidError(f"{place} is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise InvalidError(f"{place} is not an object")
    request_id = said.get("id", said.get("request_id"))
    if not isinstance(request_id, str | None):
        raise InvalidError(f"{place}: the id is not a text")
    return Submission(_valid({**given, **said}, place), request_id)


def _valid(fields: Mapping[str, Any], place: str) -> Request:
    try:
        return Request.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in fault["loc"]) or "request"
        raise InvalidError(f"{place}: {where}: {fault['msg'].lower()}") from error


@dataclass(slots=True)
class Submissions:
    """Submits requests. With ``wait``, it also waits for every result, and raises NoResultError if one is missing."""

    settings: Settings
    tenant: str
    wait: bool
    as_json: bool
    rate: float | None = None
    """Requests per second. None: as fast as the broker takes them."""

    patience: float | None = None
    """Seconds without a result after which it fails. None: a little more than the longest deadline."""

    statuses: list[Status] = field(default_factory=list[Status])
    _sent_all: bool = False

    async def run(self, submissions: Sequence[Submission]) -> int:
        """Submit all *submissions* and return the exit code of the worst result; 0 without ``wait``."""
        recall = any(submission.request_id for submission in submissions)
        async with opened(self.settings, self.tenant, wait=self.wait, recall=recall, tell=output.note) as client:
            with self._bars(submissions) as bars:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send(client, submissions, bars))
                    if self.wait:
                        tasks.create_task(self._hear(client, submissions, bars))
        return code_of(self.statuses)

    def _bars(self, submissions: Sequence[Submission]) -> AbstractContextManager[Progress | None]:
        """Return the bars, or None for one request, which is answered before they are loaded."""
        return nullcontext() if len(submissions) == 1 else output.progress(quiet=self.as_json)

    async def _send(self, client: Client, submissions: Sequence[Submission], bars: Progress | None) -> None:
        clock, start = SystemClock(), SystemClock().monotonic()
        tracked = bars.track(submissions, description="sent") if bars else submissions
        for number, submission in enumerate(tracked):
            if self.rate is not None:
                await asyncio.sleep(start + number / self.rate - clock.monotonic())
            sent = await client.send(submission.request, submission.request_id)
            if not self.wait:
                output.line({"request_id": sent.request_id})
        self._sent_all = True

    async def _hear(self, client: Client, submissions: Sequence[Submission], bars: Progress | None) -> None:
        bar = bars.add_task("answered", total=len(submissions)) if bars else None
        async for result in client.arriving(self._patience(submissions), lambda: self._sent_all):
            self.statuses.append(result.status)
            self._show(result)
            if bars is not None and bar is not None:
                bars.advance(bar)

    def _patience(self, submissions: Sequence[Submission]) -> float:
        if self.patience is not None:
            return self.patience
        given = (submission.request.deadline for submission in submissions)
        return MARGIN_S + max((each if isinstance(each, float) else DEFAULT_DEADLINE_S for each in given), default=0.0)

    def _show(self, result: Result) -> None:
        if self.as_json:
            output.line(result)
        elif result.error is None:
            output.text(output.text_of(result.output))
        else:
            said = f"{result.request_id} {result.status}: {result.error.code}: {result.error.message}"
            output.note(one_line(said))
