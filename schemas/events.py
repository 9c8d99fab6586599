"""Progress events of a run. Delivery is at least once; ``seq`` counts per run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.models import Payload

EVENT_TYPE = "headrace.event.v1"


class Event(Payload):
    """One progress event of a run. A reader drops an event whose ``seq`` it already has."""

    run_id: str
    seq: Annotated[int, Field(ge=1)]
    kind: Literal[
        "started", "delta", "tool_started", "tool_finished", "handoff", "retrying", "approval_needed", "finished"
    ]
    data: dict[str, Any] = Field(default_factory=dict)
