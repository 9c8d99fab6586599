"""Control records: from a client to admission, and from admission to the agent workers."""

from __future__ import annotations

from producers.envelopes import envelope, event_of
from producers.requests import SOURCE
from schemas.cloudevents import CloudEvent, time_of
from schemas.control import CONTROL_TYPE, RUN_CONTROL_TYPE, Control, RunControl
from schemas.headers import CORRELATION_ID, SEAL
from schemas.records import HeaderList, ProducerRecord
from schemas.seals import Seals
from schemas.topics import CONTROL, RUN_CONTROL


def control_record(
    tenant: str, control: Control, *, control_id: str, now_ms: int, source: str = SOURCE, trace: HeaderList = ()
) -> ProducerRecord:
    """Build a client's control record, keyed by request or run id. *source* must equal the source of the request."""
    event = CloudEvent(b"", id=control_id, source=source, type=CONTROL_TYPE, time=time_of(now_ms))
    value = control.model_dump_json(exclude_none=True, exclude_defaults=True).encode()
    key = (control.request_id or control.run_id or "").encode()
    return ProducerRecord(CONTROL.of(tenant), key, value, envelope(event.headers(), trace))


def run_control_record(control: RunControl, seals: Seals, *, trace: HeaderList, now_ms: int) -> ProducerRecord:
    """Build a sealed control record, which every agent worker reads."""
    run_id, key, value = control.run_id, control.run_id.encode(), control.model_dump_json().encode()
    identifier = f"{run_id}|{control.kind}"
    event = event_of(RUN_CONTROL_TYPE, tenant=control.tenant, identifier=identifier, subject=run_id, now_ms=now_ms)
    headers = envelope(event, trace, ((CORRELATION_ID, key),))
    seal = seals.seal(RUN_CONTROL.name, key, value).encode()
    return ProducerRecord(RUN_CONTROL.name, key, value, (*headers, (SEAL, seal)))
