"""Show the settings: their variables, their values with secrets masked, where each comes from, and what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, TypeAlias, get_args, get_origin

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from ops.addresses import MASK, masked_url
from ops.setting_types import ValueForm
from ops.settings import PREFIX, Settings, setting_variables

Shown: TypeAlias = str | int | float | dict[str, float] | None

DEFAULT = "default"
LONGEST = 120
"""Characters of a value that an error message quotes."""

_KUBERNETES = re.compile(
    r"\w+(_SERVICE_HOST=.*|_SERVICE_PORT(_\w+)?=\d+|_PORT(_\d+_\w+)?=\w+://.*|_PORT_\d+_\w+_(PROTO|PORT|ADDR)=.*)",
    re.DOTALL,
)
"""Variables that Kubernetes sets for a service whose name begins with ``headrace``."""


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One setting as it is now."""

    name: str
    """Its variable."""

    value: Shown
    """Its value as JSON can show it; secrets are masked."""

    origin: str
    """``default``, the environment variable that set it, or the command's option."""


@dataclass(frozen=True, slots=True)
class UnknownSetting:
    """A variable that begins as a setting and is none."""

    name: str
    nearest: str

    def __str__(self) -> str:
        name = printable(self.name)
        return f"{name} is no setting and is ignored: {self.nearest} is the nearest; `headrace config` lists all"


def setting_values(settings: Settings, options: Mapping[str, str]) -> Iterator[SettingValue]:
    """Yield each setting of *settings*. *options* has the field and name of each option that was given."""
    for field in Settings.model_fields:
        origin = options.get(field) or origin_of(field)
        yield SettingValue(names_of(field)[0], _shown(field, getattr(settings, field)), origin or DEFAULT)


def names_of(field: str) -> list[str]:
    """Return the variables that may set *field*, the first one first in rank."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [f"{PREFIX}{field.upper()}"]


def origin_of(field: str) -> str | None:
    """Return the variable of the environment that sets *field*, or None."""
    present = {name.upper(): name for name in setting_variables()}
    return next((present[name] for name in names_of(field) if name in present), None)


def _shown(field: str, value: object) -> Shown:
    """Return *value* as JSON can show it, without secrets."""
    match value:
        case SecretStr():
            return masked_url(value.get_secret_value()) if field == "valkey_url" else MASK
        case None | int() | float() | dict():
            return value
        case _:
            return printable(masked_url(str(value)))


def unknown_settings() -> list[UnknownSetting]:
    """Return the variables of the environment that begin with ``HEADRACE_`` and are no settings."""
    known = [names_of(field)[0] for field in Settings.model_fields]
    return [
        UnknownSetting(name, get_close_matches(name.upper(), known, n=1, cutoff=0.0)[0])
        for name, value in sorted(setting_variables().items())
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not _KUBERNETES.fullmatch(f"{name}={value}")
    ]


def fault_of(error: ValidationError) -> str:
    """Return the first fault of settings as one line: the variable, its value unless secret, and what to write."""
    fault = error.errors(include_url=False)[0]
    field = _field(str(fault["loc"][0]))
    name = origin_of(field) or names_of(field)[0]
    text = setting_variables().get(name, str(fault["input"]))
    own = fault.get("ctx", {}).get("error")  # of a validator in ``setting_types``
    advice = printable(masked_url(str(own))) if own else f"write {form_of(field)}"
    return f"{name} is `{_quoted(field, text)}`: {advice}"


def _field(place: str) -> str:
    """Return the field whose name or variable is *place*."""
    return next(field for field in Settings.model_fields if place in (field, *names_of(field)))


def _quoted(field: str, text: str) -> str:
    if _is_secret(Settings.model_fields[field].annotation):
        return MASK
    safe = printable(masked_url(text))
    return safe if len(safe) <= LONGEST else f"{safe[:LONGEST]}..."


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))


def printable(text: str) -> str:
    """Return *text* with an escape for each character that a terminal would act on or cannot show."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def form_of(field: str) -> str:
    """Return the form of a setting's values, in words."""
    info = Settings.model_fields[field]
    return next(_forms(info.annotation, info.metadata), None) or _number(info)


def _forms(annotation: object, metadata: object) -> Iterator[str]:
    """Yield the forms that an annotation names, outermost first."""
    yield from (each.text for each in metadata if isinstance(each, ValueForm)) if isinstance(metadata, list) else ()
    if get_origin(annotation) is Literal:
        yield _one_of([str(each) for each in get_args(annotation)])
        return
    if found := getattr(annotation, "__metadata__", None):
        yield from _forms(None, list(found))
    for part in get_args(annotation):
        yield from _forms(part, None)


def _one_of(choices: list[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _number(info: FieldInfo) -> str:
    bounds = {name: getattr(each, name) for each in info.metadata for name in ("ge", "gt", "le") if hasattr(each, name)}
    whole = float not in (info.annotation, *get_args(info.annotation))
    high = bounds["le"]
    limits = f"from {bounds['ge']} to {high}" if "ge" in bounds else f"above {bounds['gt']}, at most {high}"
    return f"a {'whole ' if whole else ''}number {limits}"


def as_text(value: Shown) -> str:
    """Return a shown value for a person."""
    match value:
        case None:
            return "not set"
        case bool():
            return str(value).lower()
        case dict():
            return json.dumps(value)
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)
