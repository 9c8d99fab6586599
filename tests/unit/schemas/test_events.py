"""Progress: what a run says while it goes on."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.events import Event


def test_an_event_survives_the_wire() -> None:
    """With whatever its kind has to say."""
    event = Event(run_id="run", seq=1, kind="delta", data={"text": "ü", "n": None})

    assert Event.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize("change", [{"seq": 0}, {"kind": "thinking"}, {"extra": 1}])
def test_an_event_that_readers_could_not_place_is_refused(change: dict[str, object]) -> None:
    """They drop by ``seq``, which starts at one, and switch on ``kind``."""
    with pytest.raises(ValidationError):
        Event.model_validate({"run_id": "run", "seq": 1, "kind": "delta", **change})
