"""Arguments by the schema of a tool, from the words of a person."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from ops.embedded.tool_arguments import arguments_of

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
FLAG, UNIT = {"type": "boolean"}, {"enum": ["celsius", "fahrenheit"], "type": "string"}


def schema(required: dict[str, Any], **optional: Any) -> dict[str, Any]:  # noqa: ANN401 - a schema
    """The schema of an object."""
    return {"type": "object", "properties": required | optional, "required": list(required)}


@pytest.mark.parametrize(
    ("properties", "words", "expected"),
    [
        ({"city": TEXT}, "for New York.", {"city": "New York"}),
        ({"city": TEXT, "days": WHOLE}, "Oslo 3 days", {"city": "Oslo days", "days": 3}),
        ({"days": WHOLE, "city": TEXT}, "Oslo, 3", {"days": 3, "city": "Oslo"}),
        ({"low": NUMBER, "high": NUMBER}, "from -1.5 to 20", {"low": -1.5, "high": 20.0}),
        ({"order": TEXT}, "42", {"order": "42"}),
        ({"to": TEXT, "text": TEXT}, "ada see you at noon", {"to": "ada", "text": "see you at noon"}),
        ({"to": TEXT, "text": TEXT}, '"Ada L." "see you"', {"to": "Ada L.", "text": "see you"}),
        ({"city": TEXT, "unit": UNIT}, "Oslo in Fahrenheit", {"city": "Oslo", "unit": "fahrenheit"}),
        ({"unit": UNIT}, "Oslo", {"unit": "celsius"}),
        ({"urgent": FLAG, "text": TEXT}, "yes, hurry", {"urgent": True, "text": "hurry"}),
        ({"urgent": FLAG}, "hurry", {"urgent": False}),
        ({"tags": {"type": "array", "items": TEXT}}, "red", {"tags": ["red"]}),
        ({"tags": {"type": "array", "items": TEXT}}, "", {"tags": []}),
        ({"kind": {"const": "a"}}, "b", {"kind": "a"}),
        ({"city": {"anyOf": [{"type": "null"}, TEXT]}}, "Oslo", {"city": "Oslo"}),
        ({"any": {}}, "what it is", {"any": "what it is"}),
        ({"days": WHOLE}, "none", {"days": 0}),
        ({}, "words", {}),
    ],
)
def test_required_arguments_are_filled(properties: dict[str, Any], words: str, expected: dict[str, Any]) -> None:
    """Numbers, flags and fixed values first; the texts get the rest."""
    arguments = arguments_of(schema(properties), words)

    assert arguments == expected
    assert list(arguments) == list(expected)


def test_an_optional_argument_is_given_by_its_name_only() -> None:
    """A guess would be worse than the tool's default."""
    wanted = schema({"city": TEXT}, days=WHOLE, note=TEXT)

    assert arguments_of(wanted, "Oslo 3") == {"city": "Oslo 3"}
    assert arguments_of(wanted, 'Oslo days=3 note="for us two"') == {"city": "Oslo", "days": 3, "note": "for us two"}
    assert arguments_of(wanted, 'city="A Coruña" other=1') == {"city": "A Coruña"}


def test_definitions_are_followed() -> None:
    """Pydantic writes a nested model as a reference."""
    place = schema({"city": TEXT, "zip": WHOLE})
    wanted = schema({"place": {"$ref": "#/$defs/Place"}}) | {"$defs": {"Place": place}}

    assert arguments_of(wanted, "Oslo 123") == {"place": {"city": "Oslo", "zip": 123}}


@pytest.mark.parametrize(
    "definition",
    [
        {"$ref": "#/$defs/Node"},
        schema({"child": {"$ref": "#/$defs/Node"}}),
        {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        {"anyOf": [{"$ref": "#/$defs/Node"}]},
    ],
)
def test_a_schema_that_contains_itself_ends(definition: dict[str, Any]) -> None:
    """A tree is a common argument."""
    wanted = schema({"node": {"$ref": "#/$defs/Node"}}) | {"$defs": {"Node": definition}}

    assert "node" in arguments_of(wanted, "x")


@pytest.mark.parametrize(
    "odd", [{"properties": {"a": True}, "required": ["a"]}, {"required": ["missing"]}, {"$ref": "#/$defs/None"}]
)
def test_an_odd_schema_does_not_fail(odd: dict[str, Any]) -> None:
    """The tool may be another's."""
    assert set(arguments_of(odd, "x")) <= {"a"}


class Colour(Enum):
    """An enumeration of a tool."""

    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    """A tree."""

    name: str
    children: list[Node]


class Odd(BaseModel):
    """The kinds of arguments that tools have."""

    text: str
    count: int
    share: float
    flag: bool
    colour: Colour
    kind: Literal["a", "b"]
    some: int | None
    either: int | str
    node: Node
    many: list[int]
    table: dict[str, str]
    pair: Annotated[list[str], Field(max_length=2)]
    anything: Any
    optional: int = 3


@pytest.mark.parametrize("words", ["", "blue 3 -4.5 yes Oslo", '"a b" 7 flag=true count=9 text="x y"', "{}[]\\ \x00"])
def test_the_arguments_fit_the_schema_of_a_tool(words: str) -> None:
    """A tool refuses others, and a person would look for the fault in the tool."""
    wanted = Odd.model_json_schema()

    jsonschema.validate(arguments_of(wanted, words), wanted)


def test_many_filler_words_cost_little() -> None:
    """A long text must not hold up the server's loop."""
    assert arguments_of(schema({"city": TEXT}), "a " * 32_000 + "Oslo" + " the" * 16_000) == {"city": "Oslo"}
