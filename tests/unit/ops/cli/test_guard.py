"""``headrace guard`` says in one line why it cannot read its input."""

from __future__ import annotations

import sys

import pytest

from ops.cli.guard import calibrate
from ops.errors import InvalidError


def test_a_closed_standard_input_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service without one has no file there, and an AttributeError tells its operator nothing."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InvalidError, match="standard input is closed"):
        calibrate(0.1)
