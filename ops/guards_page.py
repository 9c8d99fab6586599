"""The reference page of the guards' settings: `make docs` writes it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from inspect import getsource
from itertools import pairwise
from textwrap import dedent
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.registry import DEFAULTS, OWN, STAGES
from schemas.models import Payload

_HEAD = """# Settings of the guards

The fields of `config` for each of Headrace's own guards. `make docs` writes this page from the guards' code.
[Guards](guards.md) has the fields that all guards share, and [Guard your agents](../howto/guards.md) the steps. A field
that is not set has its default. A field that is not listed is refused.
"""

FIELDS: Final = """| field | value | default | meaning |
|---|---|---|---|"""

Schema: TypeAlias = Mapping[str, Any]


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join((_HEAD, *(line for plugin in OWN for line in _guard(plugin))))


def _guard(plugin: GuardPlugin[Any]) -> Iterator[str]:
    default = [stage for stage in STAGES if plugin.name in DEFAULTS[stage]]
    others = [stage for stage in STAGES if stage in plugin.stages and stage not in default]
    yield f"## `{plugin.name}`\n"
    yield f"- Runs by default at {_listed(default)}{f'; can also run at {_listed(others)}' if others else ''}."
    yield f"- {'May change the text.' if plugin.rewrites else 'Does not change the text.'}"
    yield f"- Time limit {plugin.policy.timeout:g} s; `failure` is `{plugin.policy.failure}`.\n"
    yield from _model(plugin.config)


def _listed(stages: Sequence[str]) -> str:
    return ", ".join(f"`{stage}`" for stage in stages) or "no stage"


def _model(model: type[BaseModel]) -> Iterator[str]:
    """Yield the table of a configuration, then those of the models within it."""
    schema = model.model_json_schema()
    yield FIELDS
    yield from _rows(model, schema, schema)
    yield ""
    for name, inner in schema.get("$defs", {}).items():
        if "properties" in inner:
            yield f"`{name}`:\n"
            yield FIELDS
            yield from _rows(_inner(model, name), inner, schema)
            yield ""


def _rows(model: type[BaseModel], fields: Schema, whole: Schema) -> Iterator[str]:
    meanings = _meanings(model)
    for name, field in fields["properties"].items():
        info = model.model_fields[name]
        default = "required" if info.is_required() else f"`{_json(info.get_default(call_default_factory=True))}`"
        meaning = " ".join(meanings.get(name, "").split()).replace("``", "`")
        yield f"| `{name}` | {_form(field, whole)} | {default} | {meaning} |"


def _json(value: object) -> str:
    plain = to_jsonable_python(sorted(value) if isinstance(value, frozenset) else value)
    return json.dumps(plain)


def _inner(model: type[BaseModel], name: str) -> type[BaseModel]:
    """Return the model of this name that a field's annotation has somewhere."""
    found = [each for field in model.model_fields.values() for each in _models(field.annotation)]
    return next(each for each in found if each.__name__ == name)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in getattr(annotation, "__args__", ()):
        yield from _models(each)


SIMPLE: Final[Mapping[str, str]] = {"boolean": "`true`, `false`", "null": "`null`", "string": "text"}


def _form(field: Schema, whole: Schema) -> str:
    """Return the values that a field takes, in words."""
    match field:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return f"`{name}`" if "properties" in whole["$defs"][name] else _form(whole["$defs"][name], whole)
        case {"enum": values}:
            return ", ".join(f"`{each}`" for each in values)
        case {"const": value}:
            return f"`{value}`"
        case {"anyOf": forms}:
            return " or ".join(_form(each, whole) for each in forms)
        case _:
            return _form_of_type(field, whole)


def _form_of_type(field: Schema, whole: Schema) -> str:
    match field.get("type", ""):
        case "array":
            return f"list of {_form(field.get('items', {}), whole)}"
        case "object":
            return _mapping(field, whole)
        case "number" | "integer":
            return f"number{_range(field)}"
        case kind:
            return SIMPLE.get(kind, "any value")


def _mapping(field: Schema, whole: Schema) -> str:
    values = field.get("additionalProperties")
    keys = _form(field["propertyNames"], whole) if "propertyNames" in field else "names"
    return f"object: {keys} to {_form(values, whole)}" if isinstance(values, dict) else "object"


def _range(field: Schema) -> str:
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
    if low is None and high is None:
        return ""
    return f" from {low:,}" if high is None else f" from {low or 0:,} to {high:,}"


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring of each field, read from the source of the model and of those that it extends."""
    own = [each for each in reversed(model.__mro__) if issubclass(each, Payload) and each is not Payload]
    return {name: meaning for each in own for name, meaning in _documented(each)}


def _documented(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    (body,) = [node.body for node in ast.parse(dedent(getsource(model))).body if isinstance(node, ast.ClassDef)]
    for field, said in pairwise(body):
        match field, said:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield name, meaning
            case _:
                pass
