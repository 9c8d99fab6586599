"""The details of one request that its answer needs, at ingress and after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from consumers.auth.authorize import identify, new_admission_key
from consumers.context import StepContext
from schemas.admissions import AdmissionKey, Identity, request_key
from schemas.envelopes import Envelope
from schemas.records import Partition
from schemas.requests import Request
from schemas.results import Timing, VerdictInfo, verdict_info
from schemas.stage_records import Authorized, Origin, Screened, Verdict
from schemas.tenants import Tenant
from schemas.topics import RESULTS
from schemas.usage import RunUsage


class ReplyContext(NamedTuple):
    """The known details of one request: enough to answer it."""

    tenant: str
    request_id: str
    run_id: str
    agent: str
    origin: Origin
    session: str | None
    reply_to: str
    admission: AdmissionKey
    queued_ms: int = 0
    auth_ms: int = 0
    guard_ms: int = 0
    judged: tuple[Verdict, ...] = ()
    attempt: int = 1
    usage: RunUsage = RunUsage()
    issuer: str = ""

    @property
    def timing(self) -> Timing:
        """The times spent so far, for the result of a request that goes no further."""
        return Timing(queued_ms=self.queued_ms, auth_ms=self.auth_ms, guard_ms=self.guard_ms)

    @property
    def verdicts(self) -> tuple[VerdictInfo, ...]:
        """The guards' verdicts, in the form that the caller may see."""
        return tuple([verdict_info(each.guard, each.action) for each in self.judged])


def reply_context_of(stage_record: Authorized | Screened) -> ReplyContext:
    """Return the reply context of an admitted request."""
    authorized = stage_record.authorized if isinstance(stage_record, Screened) else stage_record
    screened = stage_record if isinstance(stage_record, Screened) else None
    return ReplyContext(
        tenant=authorized.tenant,
        request_id=authorized.request_id,
        run_id=authorized.run_id,
        agent=authorized.request.agent,
        origin=authorized.origin,
        session=authorized.request.session,
        reply_to=authorized.reply_to,
        admission=authorized.admission,
        queued_ms=authorized.queued_ms,
        auth_ms=authorized.auth_ms,
        guard_ms=screened.guard_ms if screened else 0,
        judged=screened.verdicts if screened else (),
        attempt=screened.attempt if screened else 1,
        usage=screened.usage if screened else RunUsage(),
        issuer=authorized.identity.issuer,
    )


def bare_reply_context(envelope: Envelope, context: StepContext) -> ReplyContext:
    """Return the reply context of a record with a readable envelope and an unreadable request."""
    identity = identify(context.tenant, context)
    admission = AdmissionKey(
        key=request_key(identity),
        body=envelope.body,
        lane=f"request|{identity.digest}",
        request_id=identity.id,
        deadline_ms=envelope.record.timestamp,
    )
    return _reply_context(identity, admission, envelope, context)


def full_reply_context(envelope: Envelope, request: Request, context: StepContext) -> ReplyContext:
    """Return the reply context of a readable request."""
    identity = identify(context.tenant, context)
    return _reply_context(identity, new_admission_key(identity, request, context), envelope, context, request)


def _reply_context(
    identity: Identity,
    admission: AdmissionKey,
    envelope: Envelope,
    context: StepContext,
    request: Request | None = None,
) -> ReplyContext:
    return ReplyContext(
        tenant=identity.tenant,
        request_id=identity.id,
        run_id=identity.digest,
        agent=request.agent if request else "",
        origin=envelope.origin,
        session=request.session if request else None,
        reply_to=_reply_topic(envelope, context),
        admission=admission,
        queued_ms=max(0, context.clock.now_ms() - envelope.record.timestamp),
    )


def _reply_topic(envelope: Envelope, context: StepContext) -> str:
    """Return the requested reply topic if the tenant allows it, else its results topic. The step refuses others."""
    wanted = envelope.reply_to
    return wanted if wanted in context.tenant.reply_topics else RESULTS.of(context.tenant.id)


def results_partitions(tenants: Iterable[Tenant]) -> set[Partition]:
    """Return the partitions of the tenants' results topics."""
    return {Partition(RESULTS.of(tenant.id), number) for tenant in tenants for number in range(tenant.partitions)}
