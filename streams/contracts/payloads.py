"""JSON Schemas of the payloads: one file each in draft 2020-12, and all in draft 7 in the AsyncAPI document."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import ModelSchema

from schemas.admissions import ADMISSION_TYPE, AdmissionEvent
from schemas.control import CONTROL_TYPE, RUN_CONTROL_TYPE, Control, RunControl
from schemas.events import EVENT_TYPE, Event
from schemas.requests import REQUEST_TYPE, Request
from schemas.results import RESULT_TYPE, Result
from schemas.stage_records import AUTHORIZED_TYPE, SCREENED_TYPE, Authorized, Screened
from schemas.tenants import REGISTRY_TYPE, RegistryRecord
from schemas.usage import USAGE_TYPE, UsageRecord

Json: TypeAlias = dict[str, Any]

COMPONENTS = "#/components/schemas/"

TYPES: dict[type[BaseModel], str] = {
    Request: REQUEST_TYPE,
    Result: RESULT_TYPE,
    Event: EVENT_TYPE,
    Control: CONTROL_TYPE,
    RunControl: RUN_CONTROL_TYPE,
    Authorized: AUTHORIZED_TYPE,
    Screened: SCREENED_TYPE,
    AdmissionEvent: ADMISSION_TYPE,
    RegistryRecord: REGISTRY_TYPE,
    UsageRecord: USAGE_TYPE,
}
"""The contract name of every payload."""


class _Described(GenerateJsonSchema):
    """The generator of schemas with field docstrings and without titles that only repeat a name."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's signature
        """Return False: a title such as Run Id only repeats ``run_id``."""
        return False

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """Return the model's schema with a description of each field that has a docstring."""
        described = super().model_schema(schema)
        fields = described.get("properties", {})
        for name, text in field_docstrings(schema["cls"]):
            fields[name].setdefault("description", text)
        return described


def field_docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield name and docstring of each field that is followed by a string in the model's source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for field, after in pairwise(body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
            case _:
                continue


def schemas() -> dict[str, Json]:
    """Return contract names with JSON Schemas (2020-12), which readers may rely on and writers must follow."""
    return {name: _standalone(model, name) for model, name in TYPES.items()}


def _standalone(model: type[BaseModel], name: str) -> Json:
    schema = model.model_json_schema(schema_generator=_Described)
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:headrace:schema:{name}"} | schema


def components() -> Json:
    """Return all payloads and their parts in one mapping, in AsyncAPI's superset of draft 7."""
    _, combined = models_json_schema(
        [(model, "validation") for model in TYPES],
        ref_template=COMPONENTS + "{model}",
        schema_generator=_Described,
    )
    return {name: draft7(schema) for name, schema in combined["$defs"].items()}


def draft7(node: Any) -> Any:  # noqa: ANN401 - a schema holds any JSON
    """Convert a schema to draft 7: tuples are ``items``, and a ``$ref`` with siblings moves into ``allOf``."""
    match node:
        case list():
            return [draft7(each) for each in node]
        case {"$ref": str(target), **beside} if beside:
            return {"allOf": [{"$ref": target}]} | draft7(beside)
        case dict():
            return {_DRAFT7.get(key, key): draft7(value) for key, value in node.items() if key != "discriminator"}
        case _:
            return node


_DRAFT7 = {"prefixItems": "items"}


def ref(model: type[BaseModel]) -> Json:
    """Return a reference to a payload in the document."""
    return {"$ref": COMPONENTS + model.__name__}
