"""Client control records at ingress. A cancel ends a waiting request, and is forwarded if the request runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import structlog

from consumers.auth.authorize import identify, identity_is_proven
from consumers.context import StepContext
from schemas.admissions import Identity, request_key
from schemas.control import CONTROL_TYPE, Control
from schemas.envelopes import Sizes, open_envelope
from schemas.errors import MalformedError, UnsupportedVersionError
from schemas.records import Record
from schemas.tenants import Tenant
from streams.engine.admission_memory import AdmissionMemory
from streams.handler import Outputs
from streams.stages.record_builder import RecordBuilder
from streams.telemetry.trace_context import Trace

log = structlog.get_logger()

_RUN_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class CancelHandler:
    """The handler of control records, for tenants whose shards are open on this worker."""

    builder: RecordBuilder
    admission_memory: AdmissionMemory
    sizes: Sizes

    def take(self, record: Record, tenant: Tenant, trace: Trace) -> Outputs:
        """Return the record's outputs. Raise HeadraceError if it is unusable: a control record has no result."""
        envelope = open_envelope(record, self.sizes, CONTROL_TYPE)
        identity_is_proven(tenant)
        control = envelope.control()
        if control.kind != "cancel":
            raise UnsupportedVersionError(f"no run takes a {control.kind} in this version")
        sender = identify(tenant, StepContext(tenant=tenant, clock=self.builder.clock, envelope=envelope))
        run_id = _run_of(control, sender)
        key = f"{tenant.id}|{run_id}"
        controller = self.admission_memory.of(tenant.id)
        found = controller.cancel(key)
        forgotten = [self.builder.forget_cancel(old, trace.headers) for old in controller.forget_cancels(tenant.id)]
        log.info("cancel_received", found=found, tenant=tenant.id, run_id=run_id, trace_id=trace.trace_id)
        match found:
            case "ahead":
                return [self.builder.cancelled(key, control.request_id or run_id, trace.headers), *forgotten]
            case "beyond":
                return [self.builder.stop(tenant.id, run_id, trace.headers), *forgotten]
            case "over":
                return forgotten


def _run_of(control: Control, sender: Identity) -> str:
    """Return the run id: the digest of the request's identity, built from the sender of the control record.

    So a ``request_id`` names only a request of the same sender. Raise MalformedError for an invalid ``run_id``.
    """
    if control.request_id is not None:
        return request_key(Identity.model_validate(sender.model_dump() | {"id": control.request_id})).partition("|")[2]
    run_id = control.run_id or ""
    if not _RUN_ID.fullmatch(run_id):
        raise MalformedError("run_id is not the id of a run")
    return run_id
