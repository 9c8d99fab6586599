"""Control messages about a request or its run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from schemas.cloudevents import ID_LIMIT, is_name
from schemas.models import Payload, TolerantPayload

CONTROL_TYPE = "headrace.control.v1"
RUN_CONTROL_TYPE = "headrace.run-control.v1"


def _printable(text: str) -> str:
    if not is_name(text, ID_LIMIT):
        message = f"not 1 to {ID_LIMIT} printable characters"
        raise ValueError(message)
    return text


class Control(TolerantPayload):
    """An action on one run or one request. Set either ``run_id`` or ``request_id``."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "string"}}} for name in ("run_id", "request_id")
            ]
        }
    )

    run_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    request_id: Annotated[str, StringConstraints(max_length=ID_LIMIT), AfterValidator(_printable)] | None = None
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
