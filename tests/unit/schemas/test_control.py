"""Control: what a client says about a run that goes on."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.control import Control


@pytest.mark.parametrize("name", [{"run_id": "run"}, {"request_id": "r1"}, {"run_id": "run", "request_id": None}])
def test_a_control_record_names_a_run_or_a_request(name: dict[str, object]) -> None:
    """A client knows at least its own request."""
    assert Control.model_validate({"kind": "cancel", **name, "newer": 1}).kind == "cancel"


@pytest.mark.parametrize("name", [{}, {"run_id": "run", "request_id": "r1"}, {"run_id": None}])
def test_a_control_record_that_names_none_or_both_is_refused(name: dict[str, object]) -> None:
    """Two names could be of two runs."""
    with pytest.raises(ValidationError, match="either"):
        Control.model_validate({"kind": "cancel", **name})
