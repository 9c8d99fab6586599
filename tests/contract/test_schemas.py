"""The committed contracts are those of the code, and say what the code accepts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from schemas import topics
from schemas.control import Control
from schemas.events import Event
from schemas.requests import Request
from schemas.results import Result
from streams.contracts import render, schemas
from streams.contracts.payloads import TYPES, field_docstrings
from tests.contract.documents import Json, every_reference_resolves
from tests.contract.planted import ROOT

REFERENCE = ROOT / "docs" / "reference"
SCHEMAS = schemas()


def _drift(folder: Path) -> set[str]:
    """Contracts that are missing from a folder, too many, or not as generated."""
    generated = render()
    found = [*folder.glob("schemas/*"), folder / "asyncapi.json"]
    committed = {str(file.relative_to(folder)): file.read_bytes() for file in found if file.exists()}
    return {path for path in generated.keys() | committed.keys() if generated.get(path) != committed.get(path)}


def test_the_committed_contracts_are_those_of_the_code() -> None:
    """`make docs` writes them again; a change of the wire is seen in review."""
    assert _drift(REFERENCE) == set()


def test_drift_is_noticed(tmp_path: Path) -> None:
    """A file that is changed by a blank, missing, or left over."""
    for path, content in render().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert _drift(tmp_path) == set()

    with (tmp_path / "asyncapi.json").open("ab") as document:
        document.write(b" ")
    (tmp_path / "schemas" / "headrace.result.v1.json").unlink()
    (tmp_path / "schemas" / "headrace.result.v0.json").touch()

    assert _drift(tmp_path) == {
        "asyncapi.json",
        "schemas/headrace.result.v1.json",
        "schemas/headrace.result.v0.json",
    }


def test_every_payload_of_a_topic_has_a_contract() -> None:
    """Also that of a topic that is added later."""
    every = (*topics.PLATFORM, *topics.PER_TENANT, *topics.PER_INTERACTIVE_TENANT)

    assert {topic.payload for topic in every if topic.payload is not None} == set(TYPES)
    assert set(SCHEMAS) == set(TYPES.values())


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_schema(name: str) -> None:
    """Of the draft it names, complete in itself, described."""
    schema = SCHEMAS[name]

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"].endswith(name)
    assert schema["description"]
    assert list(every_reference_resolves(schema)) == []


def test_a_schema_that_is_none_is_noticed() -> None:
    """The checks are seen to fail."""
    schema = copy.deepcopy(SCHEMAS["headrace.result.v1"])
    schema["properties"]["status"]["enum"] = "failed"
    del schema["$defs"]["Usage"]

    with pytest.raises(jsonschema.SchemaError):
        jsonschema.Draft202012Validator.check_schema(schema)
    assert list(every_reference_resolves(schema)) != []


ASK: Json = {"agent": "echo", "input": "hello"}
END: Json = {"request_id": "r1", "run_id": "run", "agent": "echo", "status": "succeeded"}
STEP: Json = {"run_id": "run", "seq": 1, "kind": "delta"}


def _each(valid: Json, name: str, *values: object) -> list[object]:
    """A valid payload with one field changed, once for each value."""
    return [valid | {name: value} for value in values]


GOOD: list[tuple[type[BaseModel], object]] = [
    (Request, ASK),
    (Request, ASK | {"input": [{"text": "a"}, {"type": "text", "text": "b", "lang": "en"}], "newer": 1}),
    (Request, ASK | {"deadline": 0.5, "session": "s 1", "stream": True, "metadata": {"a": "b"}}),
    (Request, ASK | {"deadline": "2030-01-31T12:00:00Z", "budget": {"tokens": 1}, "session": None}),
    (Result, END),
    (Result, END | {"output": [None, 1], "error": {"code": "internal", "message": "no", "retry_after": 1.5}}),
    (Event, STEP | {"data": {"text": "a"}}),
    (Control, {"kind": "cancel", "run_id": "run"}),
    (Control, {"kind": "approve", "request_id": "r1", "run_id": None, "data": {}, "newer": 1}),
]
BAD: dict[type[BaseModel], list[object]] = {
    Request: [
        *([], "text", None, {}, {"agent": "echo"}, {"input": "x"}),
        *_each(ASK, "agent", "", "x" * 65, 5, None),
        *_each(ASK, "input", 5, None, [{"type": "image"}], [5], [{}]),
        *_each(ASK, "session", "", "a|b", " a", "x" * 129, 5),
        *_each(ASK, "deadline", 0, -5, 1e9, [], {}),
        ASK | {"deadline": True},
        *_each(ASK, "budget", {"tokens": 0}, {"usd": 0}, {"cents": 1}, 5),
        *_each(ASK, "metadata", {"a": 1}, [], None),
    ],
    Result: [
        *({name: value for name, value in END.items() if name != left} for left in END),
        *_each(END, "status", "done", None, 5),
        *_each(END, "error", {}, {"code": "x"}, {"code": "x", "message": "y", "trace": "z"}),
        *_each(END, "usage", {"input_tokens": -1}, {"input_tokens": 0.5}, None),
        *_each(END, "verdicts", [{}], {}),
        *_each(END, "ouput", 1),
    ],
    Event: [
        *_each(STEP, "seq", 0, "x", None),
        *_each(STEP, "kind", "thinking", None),
        *_each(STEP, "data", [], "text"),
        *_each(STEP, "extra", 1),
    ],
    Control: [
        *({"kind": "cancel", **names} for names in ({}, {"run_id": "a", "request_id": "b"}, {"run_id": None})),
        {"run_id": "a"},
        {"run_id": "a", "kind": "stop"},
    ],
}


def _fits_schema(schema: Json, value: Any) -> bool:  # noqa: ANN401 - any JSON
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def _fits_model(model: type[BaseModel], value: object) -> bool:
    try:
        model.model_validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("model", "value"), GOOD)
def test_what_the_code_accepts_fits_the_schema(model: type[BaseModel], value: object) -> None:
    """A client that checks before it sends is not held back."""
    assert _fits_model(model, value)
    assert _fits_schema(SCHEMAS[TYPES[model]], value)


@pytest.mark.parametrize(("model", "value"), [(model, value) for model, values in BAD.items() for value in values])
def test_what_the_code_refuses_does_not_fit_the_schema(model: type[BaseModel], value: object) -> None:
    """A client that checks before it sends is not let down."""
    assert not _fits_model(model, value)
    assert not _fits_schema(SCHEMAS[TYPES[model]], value)


@pytest.mark.parametrize(("model", "value"), GOOD)
def test_what_the_code_writes_fits_the_schema(model: type[BaseModel], value: object) -> None:
    """With its defaults, and with or without what is None."""
    payload = model.model_validate_json(json.dumps(value))

    for written in (payload.model_dump_json(), payload.model_dump_json(exclude_none=True)):
        assert _fits_schema(SCHEMAS[TYPES[model]], json.loads(written))


def test_fields_are_described_by_their_docstrings() -> None:
    """What the code says of a field, the contract says."""
    described = dict(field_docstrings(Request))

    assert described["deadline"].startswith("Seconds from the broker's append time")
    assert SCHEMAS["headrace.request.v1"]["properties"]["deadline"]["description"] == described["deadline"]
    assert "agent" not in described
