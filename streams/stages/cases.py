"""Cases of client records at ingress: the data needed to answer a record."""

from __future__ import annotations

from consumers.auth.authorize import identify, new_ticket
from consumers.context import Context
from schemas.envelopes import Envelope
from schemas.inbox import Identity, Ticket, request_key
from schemas.requests import Request
from schemas.topics import RESULTS
from streams.outbox import Case


def bare_case(envelope: Envelope, context: Context) -> Case:
    """Build the case of a record with a readable envelope and an unreadable request."""
    identity = identify(context.tenant, context)
    ticket = Ticket(
        key=request_key(identity),
        body=envelope.body,
        lane=f"request|{identity.digest}",
        request_id=identity.id,
        deadline_ms=envelope.record.timestamp,
    )
    return _case(identity, ticket, envelope, context)


def full_case(envelope: Envelope, request: Request, context: Context) -> Case:
    """Build the case of a readable request."""
    identity = identify(context.tenant, context)
    return _case(identity, new_ticket(identity, request, context), envelope, context, request)


def _case(
    identity: Identity, ticket: Ticket, envelope: Envelope, context: Context, request: Request | None = None
) -> Case:
    return Case(
        tenant=identity.tenant,
        request_id=identity.id,
        run_id=identity.digest,
        agent=request.agent if request else "",
        origin=envelope.origin,
        session=request.session if request else None,
        reply_to=_reply_topic(envelope, context),
        ticket=ticket,
        queued_ms=max(0, context.clock.now_ms() - envelope.record.timestamp),
    )


def _reply_topic(envelope: Envelope, context: Context) -> str:
    """Return the requested reply topic if the tenant allows it, else its results topic. The step refuses others."""
    wanted = envelope.reply_to
    return wanted if wanted in context.tenant.reply_topics else RESULTS.of(context.tenant.id)
