"""Every kind of secret is found, wherever it is written."""

from __future__ import annotations

from collections import Counter

import pytest

from consumers.guard.finding import findings
from consumers.guard.normal_form import normalise
from consumers.guard.secrets.rules import KINDS, RULES
from consumers.guard.secrets.strength import CERTAIN
from consumers.guard.secrets.task import detector_of, find_secrets, without
from tests.unit.consumers.guard.secrets.corpus import covers, encodings, placed, secrets
from tests.unit.consumers.guard.secrets.generated import PLACES

DETECT = detector_of().detect


def test_every_secret_is_found_in_every_place() -> None:
    """A secret that is found alone and missed in a log or in a sentence is not found."""
    missed = Counter(
        (each.kind, each.before, place)
        for place, each, text, start, end in placed()
        if not covers(DETECT(text), start, end)
    )
    assert missed == {}


def test_the_kind_is_named() -> None:
    """A person who reads the verdict must know which credential to change."""
    named = Counter((each.kind, each.kind in {found.kind for found in DETECT(each.text)}) for each in secrets())
    assert {kind for (kind, right) in named if not right} == set()


def test_an_encoded_secret_is_found_and_removed_with_its_encoding() -> None:
    """Base64 and percent-encoding are how credentials travel in headers, manifests and addresses."""
    missed = Counter[tuple[str, str]]()
    for each in secrets():
        for encoded in encodings(each.text):
            text = f"see {encoded} here"
            if encoded != each.text and encoded in without(text, findings(DETECT, text)):
                missed[each.kind, each.before] += 1
    assert missed == {}


def test_invisible_characters_do_not_hide_a_secret() -> None:
    """The normaliser removes them first, as it does on the input stage."""
    for each in secrets():
        text = each.before + "\u200b".join(each.secret) + each.after
        assert find_secrets(normalise(text).text, "").kinds, each.kind


def test_secrets_in_hidden_text_are_found() -> None:
    """Text in Unicode tags is removed from the content, and detectors read it beside the content."""
    for each in secrets():
        assert find_secrets("Hello.", each.text).kinds, each.kind


def test_several_secrets_in_one_text_are_all_removed() -> None:
    """Rules must not hide each other's matches."""
    all_of_them = [each for each in secrets() if "\n" not in each.text]
    text = "\n".join(each.text for each in all_of_them)

    removed = without(text, findings(DETECT, text))

    assert [each.secret for each in all_of_them if each.secret in removed] == []


def test_the_replaced_text_has_no_secret() -> None:
    """The guard may judge its own output again: in the memory, and at the next stage."""
    for each in secrets():
        text = PLACES["log"].format(each.text)
        removed = without(text, findings(DETECT, text))
        assert without(removed, findings(DETECT, removed)) == removed


def test_a_right_checksum_is_certain() -> None:
    """GitHub's and npm's tokens end with a CRC-32 of the rest."""
    scores = {found.score for each in secrets() if each.kind == "npm_token" for found in DETECT(each.text)}
    assert scores == {CERTAIN}


def test_a_wrong_checksum_is_still_a_secret() -> None:
    """The value may be cut, or of a newer format: it is less certain, and removed too."""
    token = "gh" + "p_" + "a1B2c3D4e5F6" * 3
    (found,) = DETECT(token)
    assert found.kind == "github_token"
    assert found.score < CERTAIN


@pytest.mark.parametrize("rule", RULES, ids=[f"{at}-{rule.kind}" for at, rule in enumerate(RULES)])
def test_every_rule_names_its_source(rule: object) -> None:
    """A format without a publication cannot be checked when the provider changes it."""
    assert getattr(rule, "source", "")


def test_the_generated_secrets_cover_the_kinds_that_matter() -> None:
    """The figures of the reference page are of these kinds."""
    assert len({each.kind for each in secrets()} & KINDS) >= 58
