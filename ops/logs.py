"""Log each event as one line on standard error, JSON or console, with the ids of the work but no content.

A stack trace is logged as locations in the code, those of the user's code first. An exception's text may quote a
prompt. So only the texts of Headrace's own errors are logged, which are safe to show. ``HEADRACE_LOG_ERRORS=text`` adds
the texts of all others and the source lines; ``headrace dev`` uses it.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from functools import partial
from itertools import islice
from traceback import StackSummary, walk_tb
from types import TracebackType
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from consumers.agent.code_places import user_places
from ops.terminal import escaped_json, one_line
from schemas.clock import Clock, SystemClock
from schemas.errors import HeadraceError, chain_of

if TYPE_CHECKING:
    from ops.settings import Settings

OWN = "headrace"
"""Name of the logger for Headrace's own lines."""
SILENT = logging.CRITICAL + 1
QUIET_S = 10.0
"""Seconds in which a library's line is not repeated."""
TEXT_LIMIT = 1_024
"""Longest text in a field of a line, in characters."""
ITEMS = 50
"""Items of a list in a field of a line."""
LINES = 1_000
"""Lines of libraries that are remembered in order not to be repeated."""
FRAMES = 20
"""Innermost code locations logged for one exception."""


def configure(settings: Settings, *, clock: Clock | None = None, command: bool = False, **bound: str) -> None:
    """Configure logging from *settings*. The fields in *bound* are on every line (``stage="auth"``). A *command*
    reports its own failure, so the lines of libraries appear only at log level debug.
    """
    chain = _chain(bound, text=settings.log_errors == "text")
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings.log)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[_named, *chain], processors=last))
    handler.addFilter(Repeats(clock or SystemClock()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(SILENT if command and settings.log_level != "debug" else logging.WARNING)
    _configure_own(chain, handler, settings.log_level.upper())


def _configure_own(chain: list[Processor], handler: logging.Handler, level: str) -> None:
    """Configure the logger of Headrace's own lines.

    It shares the handler but not the root's level: libraries stay quiet when Headrace's lines are logged.
    """
    own = logging.getLogger(OWN)
    own.setLevel(level)
    own.handlers[:] = [handler]
    own.propagate = False
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=_own_logger,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _own_logger(*_arguments: object) -> logging.Logger:
    return logging.getLogger(OWN)


def _chain(bound: dict[str, str], *, text: bool) -> list[Processor]:
    def bind(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**bound, **event}

    return [
        bind,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        partial(_without_content, text=text),
        _bounded,
    ]


def _bounded(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut long texts. A client chooses ids, and a library may quote its input."""
    return {name: _cut(value) for name, value in event.items()}


def _cut(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | logging.LogRecord):
        return value
    if isinstance(value, dict):
        return {str(name)[:TEXT_LIMIT]: _cut(each) for name, each in islice(value.items(), ITEMS)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cut(each) for each in islice(value, ITEMS)]
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}... ({len(text)} characters)"


def _renderers(style: str) -> list[Processor]:
    if style == "console":
        return [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.JSONRenderer(serializer=_json)]


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape the control characters of each value: the renderer adds its own, for colours."""
    return {name: value if isinstance(value, int | float) else one_line(value) for name, value in event.items()}


def _json(value: object, **_options: object) -> str:
    return escaped_json(orjson.dumps(value, default=repr).decode())


def _named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Use a library's logger name as the event, since its text is no event name."""
    record: logging.LogRecord = event["_record"]
    return {**event, "event": record.name, "message": event["event"]}


def _without_content(_logger: WrappedLogger, _method: str, event: EventDict, *, text: bool) -> EventDict:
    """Replace an exception by the parts that are safe to log; with *text*, by all of them."""
    told = event.pop("exc_info", None)
    error = sys.exception() if told is True else told[1] if isinstance(told, tuple) else told
    if isinstance(error, BaseException):
        event["exception"] = [_described(each, text=text) for each in chain_of(error)[:ITEMS]]
    return event


def _described(error: BaseException, *, text: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"type": type(error).__qualname__, "at": _places(error.__traceback__, text=text)}
    if isinstance(error, HeadraceError):
        described |= {"code": error.code, "message": error.public_message}
    elif text:
        described |= {"message": str(error)}
    return described


def _places(traceback: TracebackType | None, *, text: bool) -> list[str]:
    """Return the innermost frames: the user's first, then all others, each in the order of the calls."""
    frames = list(walk_tb(traceback))[-FRAMES:]
    own = {(place.file, place.line) for place in user_places(frames) if not place.is_library}
    lines = StackSummary.extract(iter(frames), lookup_lines=text)
    lines.sort(key=lambda line: (line.filename, line.lineno) not in own)
    return [f"{line.filename}:{line.lineno} {line.name}{f': {line.line}' if text else ''}" for line in lines]


@dataclass(slots=True)
class _Heard:
    """A library's line: the time it last passed, and the number of repeats since."""

    at: float
    repeated: int = 0


class Repeats(logging.Filter):
    """A filter that passes a library's line once in ``QUIET_S`` seconds, with the number suppressed before it.

    aiokafka repeats itself for every partition and every attempt while a broker is down. Headrace's own lines all pass.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._heard: dict[tuple[str, str], _Heard] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the line is logged."""
        if record.name == OWN:
            return True
        line, now = (record.name, str(record.msg)[:TEXT_LIMIT]), self._clock.monotonic()
        heard = self._heard.get(line)
        if heard is not None and now - heard.at < QUIET_S:
            heard.repeated += 1
            return False
        if heard is not None and heard.repeated:
            record.msg = f"{record.msg} (and {heard.repeated} times more)"
        self._heard.pop(line, None)
        self._heard[line] = _Heard(now)
        if len(self._heard) > LINES:
            del self._heard[next(iter(self._heard))]
        return True
