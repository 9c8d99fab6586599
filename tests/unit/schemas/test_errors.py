"""Every error keeps its fate: through pickling, through wrapping, and over the wire."""

from __future__ import annotations

import pickle
import re

import pytest

from schemas import errors
from schemas.dead_letters import DeadLetterReason
from schemas.errors import (
    BY_CODE,
    PUBLIC_MESSAGE_LIMIT,
    ForbiddenError,
    HeadraceError,
    InternalError,
    ModelOverloadedError,
    ModelTimeoutError,
    ToolFailedError,
    chain_of,
    resolve_error,
)
from schemas.results import ErrorInfo
from tests.unit.schemas.wire import record

RETRYABLE = {
    "guard_unavailable",
    "budget_unavailable",
    "rate_limited",
    "model_overloaded",
    "model_timeout",
    "model_unavailable",
    "tool_timeout",
    "journal_unavailable",
    "journal_lost",
    "run_superseded",
    "memory_unavailable",
}
"""As wire.md has it; ``tool_failed`` is for the tool to say."""

STATUS = {
    "refused": (
        "unauthenticated forbidden id_conflict unknown_agent blocked rate_limited budget_exhausted tenant_removed"
    ),
    "expired": "expired",
    "cancelled": "cancelled",
}
BURIED = (
    "malformed too_large unsupported_version unwritable poison internal model_overloaded model_timeout "
    "model_unavailable model_unreadable "
    "model_rejected model_quota context_overflow tool_failed tool_timeout tool_denied "
    "journal_unavailable journal_lost memory_unavailable"
)


def _all(kind: type[HeadraceError] = HeadraceError) -> list[type[HeadraceError]]:
    below = [each for child in kind.__subclasses__() if child.__module__ == errors.__name__ for each in _all(child)]
    return [kind, *below]


EVERY = _all()
LEAVES = [kind for kind in EVERY if not kind.__subclasses__()]


def _wrapped(error: Exception, around: Exception) -> Exception:
    try:
        raise around from error
    except type(around) as caught:
        return caught


def _full(kind: type[HeadraceError]) -> HeadraceError:
    error = kind("what may be said", detail="what may not", retry_after=2.5)
    if isinstance(error, ToolFailedError):
        error.retryable = True
    return error


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_survives_pickling(kind: type[HeadraceError]) -> None:
    """Runs may be moved to a child process, and their errors come back."""
    error = _full(kind)
    error.add_note("seen on the way")

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == "what may be said"
    assert (again.code, again.status, again.retryable) == (error.code, error.status, error.retryable)


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_decides_through_foreign_wrappers(kind: type[HeadraceError]) -> None:
    """Libraries wrap what a callback raises."""
    error = _full(kind)
    wrapped = _wrapped(_wrapped(error, ValueError("library")), RuntimeError("its caller"))

    assert resolve_error(error) is error
    assert resolve_error(wrapped) is error


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_decides_through_a_group(kind: type[HeadraceError]) -> None:
    """A TaskGroup hands on what its tasks raised, in groups, however deep."""
    error = _full(kind)
    group = ExceptionGroup("tasks", [ValueError("other"), ExceptionGroup("inner", [_wrapped(error, KeyError("k"))])])

    assert resolve_error(group) is error


@pytest.mark.parametrize("kind", EVERY)
def test_a_permanent_error_stays_permanent_in_a_retryable_one(kind: type[HeadraceError]) -> None:
    """And a retryable one is retried only if nothing around it is permanent."""
    error = kind()
    around = ModelOverloadedError()

    assert resolve_error(_wrapped(error, around)) is error
    assert resolve_error(_wrapped(ModelTimeoutError(), permanent := ForbiddenError())) is permanent


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_can_be_told_from_its_result_and_its_letter(kind: type[HeadraceError]) -> None:
    """The code alone says which class it was, so a client or a replay can act on it."""
    error = _full(kind)
    told = ErrorInfo(
        code=error.code, message=error.public_message, retryable=error.retryable, retry_after=error.retry_after
    )
    reason = DeadLetterReason(error.code, kind.__name__, error.public_message, "auth", "w1")

    again = ErrorInfo.model_validate_json(told.model_dump_json(exclude_none=True))
    headers = dict(reason.headers(record()))

    assert again == told
    assert "what may not" not in told.model_dump_json()
    for code in (again.code, (headers["headrace-error-code"] or b"").decode()):
        assert BY_CODE[code].code == error.code
        assert BY_CODE[code].status == error.status
        assert kind in {BY_CODE[code], *BY_CODE[code].__mro__}


def test_every_code_belongs_to_one_class() -> None:
    """A code is a promise."""
    assert len({kind.code for kind in LEAVES}) == len(LEAVES)
    assert set(BY_CODE.values()) == set(LEAVES)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in BY_CODE)


def test_a_class_that_only_groups_has_a_code_of_the_tree() -> None:
    """Raised by mistake, it still travels as something known."""
    assert {kind.code for kind in EVERY} == set(BY_CODE)


def test_the_fates_are_those_of_the_table() -> None:
    """What a client is told, and what is buried, is documented by code."""
    status = {code: name for name, codes in STATUS.items() for code in codes.split()}

    assert {code for code, kind in BY_CODE.items() if kind.retryable} == RETRYABLE
    assert {code: kind.status for code, kind in BY_CODE.items() if kind.status != "failed"} == status
    assert {code for code, kind in BY_CODE.items() if kind.dead_letters} == set(BURIED.split())


def test_a_tool_says_itself_whether_to_try_again() -> None:
    """Only the tool knows whether it has done something."""
    assert not ToolFailedError().retryable
    assert ToolFailedError(retryable=True).retryable


_LINE = re.compile(r"^(?P<bars>[│ ]*)[├└]── (?P<name>\w+)(?P<facts>.*)$")


def _drawn(text: str) -> dict[str, tuple[int, str]]:
    """Class to depth and facts, as in the drawing on top of the module."""
    matches = [match for line in text.splitlines() if (match := _LINE.match(line.strip()))]
    return {match["name"]: (len(match["bars"]) // 4 + 1, match["facts"].strip()) for match in matches}


def _faults(drawing: str) -> list[str]:
    """Where the drawing and the classes differ."""
    drawn, real = _drawn(drawing), {kind.__name__: kind for kind in EVERY[1:]}
    names = [f"{name} is only here or only there" for name in sorted(drawn.keys() ^ real.keys())]
    return names + [
        f"{name}: {facts}"
        for name, (depth, facts) in drawn.items()
        if name in real and not _agree(real[name], depth, re.split(r"\s{2,}", facts))
    ]


def _agree(kind: type[HeadraceError], depth: int, facts: list[str]) -> bool:
    same_place = len(kind.__mro__) - len(HeadraceError.__mro__) == depth
    same_code = kind not in LEAVES or facts[0] == kind.code
    return same_place and same_code and ("retryable" in facts) == kind.retryable


def test_the_drawing_shows_the_tree() -> None:
    """It is what people read first."""
    assert _faults(errors.__doc__ or "") == []


@pytest.mark.parametrize(
    ("there", "fallback"),
    [
        ("blocked", "stopped"),
        ("└── InternalError", "└── UnknownError"),
        ("model_timeout          retryable", "model_timeout"),
        ("├── PoisonError ", "│   ├── PoisonError "),
    ],
)
def test_a_wrong_drawing_is_noticed(there: str, fallback: str) -> None:
    """A code, a name, a fate or a place that is not the class's."""
    drawing = errors.__doc__ or ""
    assert there in drawing

    assert _faults(drawing.replace(there, fallback, 1)) != []


def test_what_nobody_knows_is_internal_and_never_retried() -> None:
    """The cause stays for the log, and its words stay out of the message."""
    cause = ValueError("secret")

    fate = resolve_error(cause)

    assert isinstance(fate, InternalError)
    assert not fate.retryable
    assert fate.__cause__ is cause
    assert "secret" in fate.detail
    assert "secret" not in fate.public_message


def test_a_circle_of_causes_ends() -> None:
    """A library that raises its own cause must not hang a worker."""
    one, other = ValueError("one"), ForbiddenError()
    one.__cause__, other.__cause__ = other, one

    assert chain_of(one) == [one, other]
    assert resolve_error(one) is other


def test_an_error_without_words_says_what_its_class_means() -> None:
    """A caller is never shown an empty message, nor an endless one."""
    assert ForbiddenError().public_message == "The caller may not do this"
    assert len(ForbiddenError("x" * 5_000).public_message) == PUBLIC_MESSAGE_LIMIT
