"""`--guard STAGE:NAME=VALUE` changes one guard of a tenant."""

from __future__ import annotations

from typing import Any

import pytest

from ops.cli.guard_changes import guard_changes, with_guards
from ops.errors import InvalidError
from schemas.guards import TenantGuards

KNOWN = TenantGuards.model_validate({"input": {"injection": {"config": {"block": 0.5}, "timeout": 3}}})


def changed(*given: str, known: TenantGuards = KNOWN) -> dict[str, Any]:
    """The settings after these options, as JSON without the fields that have no value."""
    return with_guards(known, guard_changes(given)).model_dump(exclude_none=True, exclude_defaults=True)


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("off", {"enabled": False, "config": {"block": 0.5}, "timeout": 3}),
        ("on", {"shadow": False, "config": {"block": 0.5}, "timeout": 3}),
        ("shadow", {"shadow": True, "config": {"block": 0.5}, "timeout": 3}),
        ('{"config": {"block": 0.7}}', {"config": {"block": 0.7}}),
        ("{}", {}),
    ],
)
def test_a_word_changes_single_fields_and_an_object_replaces_all(word: str, fields: dict[str, Any]) -> None:
    """A guard that goes into shadow mode keeps its thresholds."""
    assert changed(f"input:injection={word}") == {"input": {"injection": fields}}


def test_default_removes_the_settings_of_the_tenant() -> None:
    """The guard runs as the platform has it."""
    assert changed("input:injection=default", "output:leak=default") == {}


def test_the_other_guards_stay() -> None:
    """One option names one guard."""
    assert changed("output:secrets=shadow") == {
        "input": {"injection": {"config": {"block": 0.5}, "timeout": 3}},
        "output": {"secrets": {"shadow": True}},
    }


@pytest.mark.parametrize(
    "text",
    ["injection=off", "input:injection", "inputs:injection=off", "input:=off", "input:injection=of", "input:x=[1]"],
)
def test_an_option_of_another_form_is_refused(text: str) -> None:
    """One line with the form."""
    with pytest.raises(InvalidError, match="write STAGE:NAME=off, on, shadow, default or a JSON object"):
        guard_changes([text])


def test_a_guard_is_named_once() -> None:
    """The order of options must not decide."""
    with pytest.raises(InvalidError, match="input:injection is given twice"):
        guard_changes(["input:injection=off", "input:injection=on"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('input:injection={"timeout": 0}', "guard input:injection.timeout: Input should be greater than 0"),
        ('input:injection={"enabld": false}', "guard input:injection.enabld: Extra inputs"),
        ("input:a b=off", r"guard input:a b\.\[key\]: String should match"),
    ],
)
def test_settings_that_no_record_can_have_are_refused(text: str, fault: str) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidError, match=fault):
        changed(text)
