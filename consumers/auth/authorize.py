"""Whether the caller may make this request: the first step of every journey."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from consumers.context import Context
from schemas.errors import ExpiredError, ForbiddenError, UnauthenticatedError, UnknownAgentError
from schemas.hops import Authorized
from schemas.inbox import Identity, Ticket, request_key
from schemas.requests import Request
from schemas.tenants import Tenant
from schemas.topics import RESULTS

TOPIC_ISSUER = "topic"
"""Of an identity that rests on the broker's access list alone."""


def identify(tenant: Tenant, context: Context) -> Identity:
    """Who the request is from. In ``topic`` mode that is the tenant itself: ``ce_subject`` is never identity."""
    envelope = context.arrival
    return _of_topic(tenant.id, envelope.source, envelope.request_id)


@lru_cache(maxsize=1_024)  # a request is identified more than once on its way through a stage
def _of_topic(tenant: str, source: str, request_id: str) -> Identity:
    return Identity(tenant=tenant, issuer=TOPIC_ISSUER, subject=tenant, source=source, id=request_id)


def ticket_of(request: Request, context: Context) -> Ticket:
    """What the door knows the request by; the one that it was let in with, if it was."""
    if context.ticket is not None:
        return context.ticket
    return new_ticket(identify(context.tenant, context), request, context)


def new_ticket(identity: Identity, request: Request, context: Context) -> Ticket:
    """What the door will know the request by."""
    session = context.arrival.session(request)
    return Ticket(
        key=request_key(identity),
        body=context.arrival.body,
        lane=f"session|{identity.subject}|{session}" if session else f"request|{identity.digest}",
        request_id=identity.id,
        deadline_ms=deadline_of(request, context),
        agent=request.agent,
        subject=identity.subject,
    )


def deadline_of(request: Request, context: Context) -> int:
    """When the answer is worth nothing any more, in milliseconds since the epoch; never beyond the tenant's longest."""
    limits, appended = context.tenant.limits, context.arrival.record.timestamp
    latest = appended + int(limits.max_deadline * 1_000)
    if isinstance(request.deadline, datetime):
        return min(latest, int(request.deadline.timestamp() * 1_000))
    seconds = limits.default_deadline if request.deadline is None else request.deadline
    return min(latest, appended + int(seconds * 1_000))


def identity_is_proven(tenant: Tenant) -> None:
    """Raise UnauthenticatedError where the topic alone proves nothing."""
    if tenant.identity != TOPIC_ISSUER:
        message = f"tenant {tenant.id} takes signed requests only, and this version verifies none"
        raise UnauthenticatedError(message)


@dataclass(frozen=True, slots=True)
class Authorize:
    """Let a request through that its tenant may make."""

    deployed: Callable[[], Collection[str]]
    """Every agent that some tenant may call."""

    async def __call__(self, request: Request, context: Context) -> Authorized:
        """The request with its identity and its deadline. Raises what the caller is told."""
        began = context.clock.monotonic()
        identity_is_proven(context.tenant)
        self._agent_is_allowed(request.agent, context.tenant)
        ticket = ticket_of(request, context)
        now = context.clock.now_ms()
        if ticket.deadline_ms <= now:
            raise ExpiredError
        identity = identify(context.tenant, context)
        return Authorized(
            request=_in_session(request, context.arrival.session(request)),
            identity=identity,
            run_id=identity.digest,
            ticket=ticket,
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

    def _reply_topic(self, context: Context) -> str:
        own = RESULTS.of(context.tenant.id)
        wanted = context.arrival.reply_to
        if wanted in (None, own):
            return own
        if wanted in context.tenant.reply_topics:
            return wanted
        message = "replies may go only to the topics that the tenant's record lists"
        raise ForbiddenError(message)


def _in_session(request: Request, session: str | None) -> Request:
    """The request with the session that it belongs to, which mostly it has named itself."""
    return request if request.session == session else request.model_copy(update={"session": session})
