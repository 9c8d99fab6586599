"""The authorization step, the first of every journey: it checks that the caller may make this request."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from consumers.context import StepContext
from schemas.admissions import AdmissionKey, Identity, request_key
from schemas.errors import ExpiredError, ForbiddenError, UnauthenticatedError, UnknownAgentError
from schemas.requests import Request
from schemas.stage_records import Authorized
from schemas.tenants import Tenant
from schemas.topics import RESULTS

TOPIC_ISSUER = "topic"
"""Issuer of an identity that only the broker's access control list proves."""


def identify(tenant: Tenant, context: StepContext) -> Identity:
    """Return the request's identity. In ``topic`` mode it is the tenant itself: ``ce_subject`` is never identity."""
    envelope = context.arrival
    return _of_topic(tenant.id, envelope.source, envelope.request_id)


@lru_cache(maxsize=1_024)  # a stage identifies a request more than once
def _of_topic(tenant: str, source: str, request_id: str) -> Identity:
    return Identity(tenant=tenant, issuer=TOPIC_ISSUER, subject=tenant, source=source, id=request_id)


def admission_key(request: Request, context: StepContext) -> AdmissionKey:
    """Return the admission key that the request was admitted with, or a new one if it has none yet."""
    if context.admission is not None:
        return context.admission
    return new_admission_key(identify(context.tenant, context), request, context)


def new_admission_key(identity: Identity, request: Request, context: StepContext) -> AdmissionKey:
    """Build the request's admission key."""
    session = context.arrival.session(request)
    return AdmissionKey(
        key=request_key(identity),
        body=context.arrival.body,
        lane=f"session|{identity.subject}|{session}" if session else f"request|{identity.digest}",
        request_id=identity.id,
        deadline_ms=deadline_of(request, context),
        agent=request.agent,
        subject=identity.subject,
    )


def deadline_of(request: Request, context: StepContext) -> int:
    """Return the request's deadline in milliseconds since the epoch, at most the tenant's ``max_deadline`` away."""
    limits, appended = context.tenant.limits, context.arrival.record.timestamp
    latest = appended + int(limits.max_deadline * 1_000)
    if isinstance(request.deadline, datetime):
        return min(latest, int(request.deadline.timestamp() * 1_000))
    seconds = limits.default_deadline if request.deadline is None else request.deadline
    return min(latest, appended + int(seconds * 1_000))


def identity_is_proven(tenant: Tenant) -> None:
    """Raise UnauthenticatedError if the tenant requires more proof of identity than its topic."""
    if tenant.identity != TOPIC_ISSUER:
        message = f"tenant {tenant.id} takes signed requests only, and this version verifies none"
        raise UnauthenticatedError(message)


@dataclass(frozen=True, slots=True)
class Authorize:
    """Authorize a request if its tenant may make it."""

    deployed: Callable[[], Collection[str]]
    """Returns every agent that any tenant may call."""

    async def __call__(self, request: Request, context: StepContext) -> Authorized:
        """Return the request with its identity and deadline; raise the error that the caller receives."""
        began = context.clock.monotonic()
        identity_is_proven(context.tenant)
        self._agent_is_allowed(request.agent, context.tenant)
        admission = admission_key(request, context)
        now = context.clock.now_ms()
        if admission.deadline_ms <= now:
            raise ExpiredError
        identity = identify(context.tenant, context)
        return Authorized(
            request=_in_session(request, context.arrival.session(request)),
            identity=identity,
            run_id=identity.digest,
            admission=admission,
            origin=context.arrival.origin,
            reply_to=self._reply_topic(context),
            queued_ms=max(0, now - context.arrival.record.timestamp),
            auth_ms=int((context.clock.monotonic() - began) * 1_000),
            authorized_at_ms=now,
        )

    def _agent_is_allowed(self, agent: str, tenant: Tenant) -> None:
        if agent in tenant.agents:
            return
        if agent in self.deployed():
            message = f"tenant {tenant.id} may not call the agent {agent}"
            raise ForbiddenError(message)
        message = f"no agent is called {agent}"
        raise UnknownAgentError(message)

    def _reply_topic(self, context: StepContext) -> str:
        own = RESULTS.of(context.tenant.id)
        wanted = context.arrival.reply_to
        if wanted in (None, own):
            return own
        if wanted in context.tenant.reply_topics:
            return wanted
        message = "replies may go only to the topics that the tenant's record lists"
        raise ForbiddenError(message)


def _in_session(request: Request, session: str | None) -> Request:
    """Return the request with its session filled in. Most requests name their session already."""
    return request if request.session == session else request.model_copy(update={"session": session})
