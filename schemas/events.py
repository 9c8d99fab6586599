"""What a run says while it goes on; at least once, ``seq`` counts per run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.models import Payload

EVENT_TYPE = "headrace.event.v1"


class Event(Payload):
    """One step of progress. A reader drops a ``seq`` that it has."""

    run_id: str
    seq: Annotated[int, Field(ge=1)]
    kind: Literal[
        "started", "delta", "tool_started", "tool_finished", "handoff", "retrying", "approval_needed", "finished"
    ]
    data: dict[str, Any] = Field(default_factory=dict)
