"""The outcome of a tool call: the text that the model reads, and its provenance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from pydantic import Field
from pydantic_core import PydanticSerializationError, to_json

from consumers.agent.provenance import OPERATOR, Source
from schemas.errors import HeadraceError, ToolFailedError
from schemas.models import Payload
from schemas.results import VerdictInfo


class ToolOutcome(Payload):
    """The outcome of one call."""

    text: str
    error: str = ""
    """Code of the error; empty for a success."""

    source: Source
    origins: tuple[Source, ...] = ()
    """The sources of the texts that this one was made from: all that a delegate has read."""

    verdicts: tuple[VerdictInfo, ...] = ()
    """The verdicts of guards about the call's arguments and its result, those that pass excepted."""

    placeholders: dict[str, str] = Field(default_factory=dict, repr=False)
    """The placeholders in the text, with the personal data that each stands for."""


def succeeded(name: str, value: object, limit: int, source: Source) -> ToolOutcome:
    """Return the outcome of a call that returned *value*, cut to *limit* bytes. Raises ToolFailedError if not JSON."""
    return ToolOutcome(text=cut(text_of(name, value), limit), source=source)


def failed(error: HeadraceError, source: Source = OPERATOR) -> ToolOutcome:
    """Return the outcome of a failed call. The model reads the error, and may call again or do without.

    By default the error's text is the platform's own: the call was refused, and no tool has run.
    """
    return ToolOutcome(text=f"Error ({error.code}): {error.public_message}", error=error.code, source=source)


def text_of(name: str, value: Any) -> str:  # noqa: ANN401 - a tool returns what it likes
    """Return a text as it is, and any other value as JSON. Lone surrogates are replaced."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, Iterator | AsyncIterator):
        raise ToolFailedError(f"the tool {name} returned an iterator, which may have no end: return a list")
    try:
        return to_json(value, inf_nan_mode="constants").decode()
    except (PydanticSerializationError, ValueError) as error:
        message = f"the tool {name} returned a {type(value).__name__} that is not JSON"
        raise ToolFailedError(message) from error


def cut(text: str, limit: int) -> str:
    """Return the text, or its first *limit* bytes and a note that tells the model so."""
    size = len(text) if text.isascii() else len(text.encode())
    if size <= limit:
        return text
    kept = text.encode()[:limit].decode(errors="ignore")
    return f"{kept}\n[cut: the first {limit} of {size} bytes]"
