"""The reference pages of guards say what the code does."""

from __future__ import annotations

import json
import re

from consumers.guard.registry import DEFAULTS, OWN, STAGES, GuardRegistry
from ops import guards_page
from schemas.guards import GuardSettings, TenantGuards
from tests.contract.planted import ROOT

REFERENCE = ROOT / "docs" / "reference"
GUARDS = (REFERENCE / "guards.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    """A section of the reference page."""
    return GUARDS.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_the_page_of_configurations_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (REFERENCE / "guard-settings.md").read_text(encoding="utf-8") == guards_page.page()


def test_the_default_guards_are_those_of_the_code() -> None:
    """In the order in which they run."""
    rows = re.findall(r"^\| `(\w+)` \| (\w*) ?\| (\w*) ?\| (\w*) ?\|", section("Default guards"), re.MULTILINE)
    assert [row[0] for row in rows] == [plugin.name for plugin in OWN]
    for number, stage in enumerate(STAGES, 1):
        assert sorted(row[0] for row in rows if row[number] == "yes") == sorted(DEFAULTS[stage]), stage


def test_every_field_of_the_settings_has_a_row() -> None:
    """And no other."""
    rows = re.findall(r"^\| `(\w+)` \|", section("Settings"), re.MULTILINE)
    assert rows == list(GuardSettings.model_fields)


def test_the_example_can_be_used() -> None:
    """It is copied first."""
    (example,) = re.findall(r"```json\n(.*?)```", GUARDS, re.DOTALL)
    GuardRegistry().check(TenantGuards.model_validate(json.loads(example)))
