"""Parse ``--guard STAGE:NAME=VALUE``: a change to one guard of a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, get_args

from pydantic import ValidationError
from pydantic_core import from_json

from ops.errors import InvalidError
from schemas.guards import GuardStage, TenantGuards

FORM: Final = "STAGE:NAME=off, on, shadow, default or a JSON object"

GuardChanges: TypeAlias = Mapping[tuple[str, str], dict[str, Any] | str | None]
"""For a stage and a guard: the fields of new settings; the word of a change; or None, for no settings."""

WORDS: Final[Mapping[str, Mapping[str, object]]] = {
    "off": {"enabled": False},
    "on": {"enabled": True, "shadow": False},
    "shadow": {"enabled": True, "shadow": True},
}
"""The fields that each word changes. All others stay as the tenant's record has them."""


def guard_changes(given: Iterable[str]) -> GuardChanges:
    """Return the changes of all options. Raise InvalidError for one of another form."""
    found: dict[tuple[str, str], dict[str, Any] | str | None] = {}
    for text in given:
        place, equals, value = text.partition("=")
        stage, colon, name = place.strip().partition(":")
        if not (equals and colon and name and stage in get_args(GuardStage)):
            raise InvalidError(f"`--guard {text}`: write {FORM}; the stages are {', '.join(get_args(GuardStage))}")
        if (stage, name) in found:
            raise InvalidError(f"`--guard {text}`: {stage}:{name} is given twice")
        found[stage, name] = _value(text, value.strip())
    return found


def _value(text: str, value: str) -> dict[str, Any] | str | None:
    if value == "default":
        return None
    if value in WORDS:
        return value
    try:
        fields = from_json(value)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidError(f"`--guard {text}`: write {FORM}")
    return fields


def with_guards(known: TenantGuards, changes: GuardChanges) -> TenantGuards:
    """Return the guard settings with these changes. Raise InvalidError for settings that no record can have."""
    stages: dict[str, dict[str, Any]] = known.model_dump(exclude_none=True)
    for (stage, name), value in changes.items():
        old = stages[stage].pop(name, {})
        if isinstance(value, str):
            stages[stage][name] = {**old, **WORDS[value]}
        elif value is not None:
            stages[stage][name] = value
    try:
        return TenantGuards.model_validate(stages)
    except ValidationError as error:
        raise InvalidError(f"guard {_fault(error)}") from error


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    stage, *place = map(str, first["loc"])
    return f"{stage}:{'.'.join(place)}: {first['msg']}"
