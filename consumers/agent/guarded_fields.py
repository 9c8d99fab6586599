"""The judgement of a JSON value by guards of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from consumers.agent.seams import GuardedText
from consumers.json_fields import JsonField, JsonScalar, fields_of, text_of_fields, with_fields
from schemas.results import VerdictInfo

NOT_REDACTED = "a guard refuses parts that cannot be taken out"


class JudgeText(Protocol):
    """Judges one text."""

    async def __call__(self, text: str, known: Mapping[str, str]) -> GuardedText:
        """Return the judgement. *known* are the placeholders so far."""
        ...


class GuardedFields(NamedTuple):
    """A JSON value as the guards pass it on."""

    value: Any
    """The same object if nothing is changed."""

    placeholders: Mapping[str, str] = {}
    verdicts: tuple[VerdictInfo, ...] = ()
    refusal: str = ""


async def judge_fields(value: Any, judge: JudgeText, known: Mapping[str, str]) -> GuardedFields:  # noqa: ANN401 - JSON
    """Judge all fields as one text. If it is changed, judge each field, and then the whole again.

    What is found in the whole alone, such as in a number or a name, cannot be taken out: the value is refused.
    """
    lines = text_of_fields(value)
    whole = await judge(lines, known)
    if whole.refusal or whole.text == lines:
        return GuardedFields(value, {}, whole.verdicts, whole.refusal)
    new: dict[str, str] = {}
    fields = {each: await _judged(each, judge, known, new) for each in dict.fromkeys(fields_of(value))}
    changed = with_fields(value, fields)
    again = await judge(text_of_fields(changed), {**known, **new})
    if again.refusal or again.text != text_of_fields(changed):
        return GuardedFields(value, {}, whole.verdicts, NOT_REDACTED)
    return GuardedFields(changed, new, whole.verdicts)


async def _judged(field: JsonField, judge: JudgeText, known: Mapping[str, str], new: dict[str, str]) -> JsonScalar:
    """Return the field's value as it may pass, and add new placeholders. Only texts are changed, and never a name."""
    if not isinstance(field.value, str):
        return field.value
    guarded = await judge(field.line, {**known, **new})
    if guarded.refusal or guarded.text == field.line or not guarded.text.startswith(field.prefix):
        return field.value
    new |= guarded.placeholders
    return guarded.text.removeprefix(field.prefix)
