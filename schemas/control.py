"""Control messages about a request or its run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from schemas.models import Payload, TolerantPayload

CONTROL_TYPE = "headrace.control.v1"
RUN_CONTROL_TYPE = "headrace.run-control.v1"


class Control(TolerantPayload):
    """An action on one run or one request. Set either ``run_id`` or ``request_id``."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "string"}}} for name in ("run_id", "request_id")
            ]
        }
    )

    run_id: str | None = None
    request_id: str | None = None
    kind: Literal["cancel", "signal", "approve", "reject"]
    data: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_one(self) -> Control:
        if (self.run_id is None) == (self.request_id is None):
            message = "name either a run or a request"
            raise ValueError(message)
        return self


class RunControl(Payload):
    """A control message that admission forwards for an admitted run."""

    tenant: str
    run_id: str
    kind: Literal["cancel"]
