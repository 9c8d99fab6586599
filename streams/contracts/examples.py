"""Examples for readers to copy. They are built from the models, so each example fits its schema."""

from __future__ import annotations

from pydantic import BaseModel

from schemas.cloudevents import CloudEvent
from schemas.control import Control
from schemas.events import Event
from schemas.headers import CORRELATION_ID, REPLY_TO, TRACEPARENT
from schemas.requests import Budget, Request, TextPart
from schemas.results import ErrorInfo, Result, Timing, Usage, VerdictInfo
from schemas.topics import RESULTS as RESULTS_TOPIC
from schemas.usage import AgentSpend, ModelSpend, UsageRecord, day_of
from streams.contracts.payloads import TYPES, Json

TENANT = "acme"
_ORDER = "order-4711"
_RUN = "7d1c9a52e0b84f6d9c3e5a1b2f407c68"
_TIME = "2030-01-31T12:00:00.000Z"
_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _example(name: str, summary: str, payload: BaseModel, headers: Json | None = None) -> Json:
    shown = payload.model_dump(mode="json", exclude_none=True, exclude_defaults=isinstance(payload, Request))
    return {"name": name, "summary": summary, "payload": shown, "headers": headers or {}}


def _headers(kind: type[BaseModel], identifier: str, source: str, **more: str) -> Json:
    event = CloudEvent(b"", id=identifier, source=source, type=TYPES[kind], subject=_ORDER, time=_TIME)
    written = {name: value.decode() for name, value in event.headers() if value is not None}
    return written | {TRACEPARENT: _TRACE, CORRELATION_ID: _ORDER} | more


REQUESTS = (
    _example("bare", "A request typed by hand, without headers or key.", Request(agent="echo", input="hello")),
    _example(
        "full",
        "A request with all fields and headers.",
        Request(
            agent="support",
            input=(TextPart(text="Where is my parcel?"), TextPart(text="It was sent on Monday.")),
            session="customer-17",
            deadline=30,
            stream=True,
            budget=Budget(tokens=4_000, usd=0.05),
            metadata={"channel": "mail"},
        ),
        _headers(Request, _ORDER, "/shop", **{REPLY_TO: RESULTS_TOPIC.of(TENANT)}),
    ),
)
RESULTS = (
    _example(
        "succeeded",
        "The result of a successful run.",
        Result(
            request_id=_ORDER,
            run_id=_RUN,
            agent="support",
            status="succeeded",
            output="It arrives tomorrow.",
            usage=Usage(input_tokens=212, output_tokens=18, model_calls=2, tool_calls=1, cost_usd=0.0031),
            timing=Timing(queued_ms=4, auth_ms=1, guard_ms=3, agent_ms=840),
            verdicts=(VerdictInfo(guard="injection", action="pass"),),
        ),
        _headers(Result, _RUN, f"/headrace/{TENANT}"),
    ),
    _example(
        "refused",
        "A refused request. The message is safe to show to users.",
        Result(
            request_id=_ORDER,
            run_id=_RUN,
            agent="support",
            status="refused",
            error=ErrorInfo(code="forbidden", message="The caller may not do this"),
        ),
        _headers(Result, _RUN, f"/headrace/{TENANT}"),
    ),
)
EVENTS = (
    _example(
        "delta",
        "A part of the answer, sent before the result.",
        Event(run_id=_RUN, seq=2, kind="delta", data={"text": "It arrives"}),
        _headers(Event, f"{_RUN}-2", f"/headrace/{TENANT}"),
    ),
)
CONTROLS = (
    _example(
        "cancel",
        "Cancel a request.",
        Control(request_id=_ORDER, kind="cancel"),
        _headers(Control, "cancel-4711", "/shop"),
    ),
)
USAGE = (
    _example(
        "succeeded",
        "The usage of a run of two model calls and a tool call.",
        UsageRecord(
            tenant=TENANT,
            run_id=_RUN,
            request_id=_ORDER,
            agent="support",
            issuer="topic",
            subject="customer-17",
            status="succeeded",
            attempt=1,
            at_ms=1_896_091_200_000,
            input_tokens=212,
            output_tokens=18,
            model_calls=2,
            tool_calls=1,
            cost_usd=0.0000426,
            models=(
                ModelSpend(
                    model="gpt-4o-mini-2024-07-18", calls=2, input_tokens=212, output_tokens=18, cost_usd=0.0000426
                ),
            ),
            agents=(
                AgentSpend(
                    agent="support",
                    day=day_of(1_896_091_200_000),
                    calls=2,
                    input_tokens=212,
                    output_tokens=18,
                    cost_usd=0.0000426,
                ),
            ),
        ),
        _headers(UsageRecord, _RUN, f"/headrace/{TENANT}"),
    ),
)
