"""The guard for links: it removes links and images to hosts that are not listed, from answers with untrusted sources.

An image of such a host would send what its address contains, without a click.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import StringConstraints

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.detection import TEXT_POLICY, Detected, Detection
from consumers.guard.finding import Finding
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Guard, GuardResult
from consumers.guard.link_places import REMOVED
from consumers.guard.links_stream import REACH, LiveLinks
from consumers.guard.stream import StreamStage
from consumers.guard.stream_redaction import StreamRedaction, blocking
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload

Host: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(\*\.)?[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*$", max_length=253)]


class LinksConfig(Payload):
    """The configuration of the guard for links."""

    hosts: tuple[Host, ...] = ()
    """Hosts that links may lead to; ``*.NAME`` for all below a name. Links without a host are left as they are."""

    action: Literal["flag", "redact", "block"] = "redact"
    """The action for an answer with a link to another host."""


def _guard(config: LinksConfig, _stage: GuardStage, work: TextWork) -> Guard:
    def act(_found: Detected, _content: Content) -> Literal["flag", "redact", "block"]:
        return config.action

    hosts = json.dumps(config.hosts)
    detection = Detection("links", act, work, options=lambda _: (hosts,))

    async def judge(content: Content, context: StepContext) -> GuardResult:
        return await detection(content, context) if content.tainted else GuardResult()

    return judge


def _stream(config: LinksConfig, content: Content, context: str) -> Sequence[StreamStage]:
    if config.action == "flag" or not content.tainted:
        return ()
    replacement = blocking("links") if config.action == "block" else _removed
    return (StreamRedaction(LiveLinks(json.dumps(config.hosts)), replacement, context, views=False, reach=REACH),)


def _removed(_found: Finding, _text: str) -> str:
    return REMOVED


LINKS = GuardPlugin(
    "links", LinksConfig, _guard, rewrites=True, stages=frozenset({"output"}), stream=_stream, policy=TEXT_POLICY
)
