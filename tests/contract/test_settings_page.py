"""The reference page of the settings is the code's, and no other page names a setting that is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops import settings_page
from ops.setting_values import names_of
from ops.settings import Settings
from tests.contract.planted import ROOT

PAGE = ROOT / "docs" / "reference" / "settings.md"
KNOWN = {name for field in Settings.model_fields for name in names_of(field)}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert PAGE.read_text(encoding="utf-8") == settings_page.page()


def test_every_setting_is_on_the_page_with_a_meaning() -> None:
    """A setting without a sentence is one that nobody can use."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert [row[0] for row in rows] == [names_of(field)[0] for field in Settings.model_fields]
    assert all(meaning.endswith(".") for *_, meaning in rows)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_only_settings_that_exist(document: Path) -> None:
    """A renamed setting would be set in vain."""
    named = set(re.findall(r"\bHEADRACE_[A-Z0-9_]*[A-Z0-9]\b", document.read_text(encoding="utf-8")))

    assert named - {"HEADRACE_KAFKA"} <= KNOWN
