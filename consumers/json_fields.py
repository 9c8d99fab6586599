"""The texts within a JSON value, field by field: guards judge a structured value as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

JsonScalar: TypeAlias = str | int | float | bool | None


class JsonField(NamedTuple):
    """One value that is no object and no array, with the nearest name above it."""

    name: str
    value: JsonScalar

    @property
    def line(self) -> str:
        """Return the field as a text. Its name is part of it: ``password: x`` tells more than ``x``."""
        return f"{self.prefix}{self.value}"

    @property
    def prefix(self) -> str:
        """Return the start of the line, before the value."""
        return f"{self.name}: " if self.name else ""


def fields_of(value: Any, name: str = "") -> Iterator[JsonField]:  # noqa: ANN401 - JSON
    """Yield the fields of a JSON value, in order. An empty object or array has none."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from fields_of(each, str(key))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from fields_of(each, name)
    else:
        yield JsonField(name, value)


def with_fields(value: Any, changes: Mapping[JsonField, JsonScalar], name: str = "") -> Any:  # noqa: ANN401 - JSON
    """Return the value with other values for these fields."""
    if isinstance(value, Mapping):
        return {key: with_fields(each, changes, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_fields(each, changes, name) for each in value]
    return changes.get(JsonField(name, value), value)


def text_of_fields(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return all fields as lines."""
    return "\n".join(each.line for each in fields_of(value))
