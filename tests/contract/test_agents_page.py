"""The reference page of agents has the names and defaults of the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest

from consumers.agent.agents import DEFAULT_LIMITS, respond
from headrace import Agent, Handoff, Operation, Run, RunLimits, Tool
from tests.contract.planted import ROOT

PAGE = (ROOT / "docs" / "reference" / "agents.md").read_text(encoding="utf-8")
NAMED = {DEFAULT_LIMITS: "RunLimits()", respond: "respond"}
"""Defaults that the page calls by their names."""


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table of a section, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None, heading
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table[0].splitlines()[2:]]


def default_of(field: dataclasses.Field[Any]) -> str:
    """Return a field's default as the page has it."""
    value = field.default
    if value is dataclasses.MISSING:
        return "required"
    named = NAMED.get(value) if not isinstance(value, str) else None
    return f"`{named or repr(value)}`".replace("'", '"')


@pytest.mark.parametrize("kind", [Agent, Tool, Handoff, RunLimits], ids=lambda kind: kind.__name__)
def test_the_page_has_each_field_and_its_default(kind: type[Any]) -> None:
    """A user writes what the page says."""
    fields = [each for each in dataclasses.fields(kind) if each.init]

    assert [row[:2] for row in rows(kind.__name__)] == [[f"`{each.name}`", default_of(each)] for each in fields]


def test_the_page_has_each_public_name_of_a_run() -> None:
    """Agents and tools use it in every call."""
    fields = {each.name for each in dataclasses.fields(Run)}
    others = {name for name, _ in inspect.getmembers(Run) if not name.startswith("_")}
    named = {name for row in rows("Run") for name in re.findall(r"`(\w+)[(`]", row[0])}

    assert named == fields | others


def test_the_page_has_each_field_of_an_operation() -> None:
    """A middleware reads them."""
    assert [row[0] for row in rows("Middleware")] == [f"`{each.name}`" for each in dataclasses.fields(Operation)]
