"""An error is one line with the next step."""

from __future__ import annotations

import pytest
import typer

from ops.errors import NoBrokerError, StackError
from ops.failures import exit_code, report, sentence
from ops.settings import Settings
from streams.transport.errors import KafkaUnreachableError


def _invalid_settings() -> Exception:
    try:
        Settings.model_validate({"http_port": 99_999_999})
    except ValueError as error:
        return error
    raise AssertionError("a port of 99,999,999 was taken")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NoBrokerError(), 2, "start `headrace dev`"),
        (StackError("the stage agent\nis not ready"), 1, "the stage agent is not ready"),
        (KafkaUnreachableError("127.0.0.1:1"), 1, "is it running"),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [NoBrokerError()])]), 2, "HEADRACE_KAFKA_BOOTSTRAP"),
        (typer.BadParameter("no such option"), 2, "no such option"),
        (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError: division by zero (HEADRACE_LOG_LEVEL=debug"),
        (_invalid_settings(), 2, "HEADRACE_HTTP_PORT"),
    ],
)
def test_an_error_becomes_one_line_and_a_code(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, said: str
) -> None:
    """Nobody reads a stack trace to learn that a broker is down."""
    assert report(error, debug=False) == code

    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert said in captured.err


def test_whoever_looks_for_a_fault_sees_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """HEADRACE_LOG_LEVEL=debug."""
    report(_invalid_settings(), debug=True)

    assert "Traceback" in capsys.readouterr().err


def test_a_wrong_value_is_named_with_its_variable() -> None:
    """The operator sees what to correct; only a secret is masked (test_setting_values)."""
    error = _invalid_settings()

    assert sentence(error) == "HEADRACE_HTTP_PORT is `99999999`: write a whole number from 0 to 65535"
    assert exit_code(error) == 2
