"""The reads and writes of each channel: by the stages of the journeys, the retry mover and the operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from consumers.context import StepContext
from schemas import topics
from schemas.headers import REPLY_TO
from schemas.topics import Topic
from streams.contracts.channels import REPLIES, channel_id
from streams.contracts.messages import BINDING, MESSAGES, RESULT
from streams.contracts.payloads import Json
from streams.journey import JOURNEYS, RETRIES, RETRIES_GROUP, Stage, Steps

OPERATOR = "ops"
_TIERS = tuple(tier for _, tier in topics.RETRY_TIERS)


@dataclass(frozen=True, slots=True)
class Actor:
    """A reader and writer of topics: a stage, the retry mover or the operator."""

    name: str
    group: str | None
    """The consumer group for ``works``. The topics in ``looks_up`` are read without a group."""

    works: tuple[Topic[Any], ...]
    looks_up: tuple[Topic[Any], ...]
    writes: tuple[Topic[Any], ...]
    journeys: tuple[str, ...]


async def _unchanged(value: Any, _context: StepContext) -> Any:  # noqa: ANN401 - stands for any step
    """Return the value unchanged: only the position of the step in its journey matters here."""
    return value


def actors() -> list[Actor]:
    """Return the stages of all journeys once each, then the actors that serve every journey."""
    everywhere = tuple(JOURNEYS)
    cancelled = topics.RESULTS, topics.ADMISSIONS
    moved = topics.SCREENED, topics.DEAD_LETTERS, topics.USAGE, *cancelled
    mover = Actor(RETRIES, RETRIES_GROUP, _TIERS, (topics.TENANTS, topics.RUN_CONTROL), moved, everywhere)
    operator = Actor(OPERATOR, None, (), (topics.TENANTS, topics.DEAD_LETTERS), (topics.TENANTS,), everywhere)
    return [*_stages(), mover, operator]


def _stages() -> Iterator[Actor]:
    steps = Steps(authorize=_unchanged, screen=_unchanged, execute=_unchanged)
    found: dict[str, tuple[Stage[Any, Any], list[str]]] = {}
    for journey, make in JOURNEYS.items():
        for stage in make(steps).stages:
            found.setdefault(stage.name, (stage, []))[1].append(journey)
    for stage, journeys in found.values():
        yield _actor(stage, tuple(journeys))


def _actor(stage: Stage[Any, Any], journeys: tuple[str, ...]) -> Actor:
    """Return a stage with all its topics: any stage may fail a request, the first admits, the last retries."""
    first, last = stage.reads == topics.REQUESTS, stage.writes == topics.RESULTS
    along: tuple[Topic[Any], ...] = (topics.EVENTS, topics.USAGE, *_TIERS) if last else ()
    return Actor(
        name=stage.name,
        group=stage.group,
        works=(stage.reads, *((topics.CONTROL,) if first else ())),
        looks_up=(
            topics.TENANTS,
            *((topics.ADMISSIONS,) if first else ()),
            *((topics.RUN_CONTROL,) if last else ()),
        ),
        writes=_once(
            stage.writes,
            *along,
            *((topics.RUN_CONTROL,) if first else ()),
            topics.RESULTS,
            topics.ADMISSIONS,
            topics.DEAD_LETTERS,
        ),
        journeys=journeys,
    )


def _once(*found: Topic[Any]) -> tuple[Topic[Any], ...]:
    return tuple(dict.fromkeys(found))


def operations() -> Json:
    """Return every read and write, named ``stage-receives-channel`` or ``stage-sends-channel``."""
    return dict(operation for actor in actors() for operation in _of(actor))


def _of(actor: Actor) -> Iterator[tuple[str, Json]]:
    for topic in actor.works:
        yield _operation(actor, topic, "receive", group=actor.group)
    for topic in actor.looks_up:
        yield _operation(actor, topic, "receive")
    for topic in actor.writes:
        yield _operation(actor, topic, "send")


def _operation(actor: Actor, topic: Topic[Any], action: str, group: str | None = None) -> tuple[str, Json]:
    channel = f"#/channels/{channel_id(topic)}"
    operation: Json = {
        "action": action,
        "channel": {"$ref": channel},
        "title": f"{actor.name} {action}s {channel_id(topic)}",
        "messages": [{"$ref": f"{channel}/messages/{message.name}"} for message in MESSAGES[topic]],
        "tags": [{"name": actor.name}, *({"name": journey} for journey in actor.journeys)],
    }
    if group is not None:
        operation["bindings"] = {"kafka": {"groupId": {"type": "string", "const": group}, "bindingVersion": BINDING}}
    if topic == topics.REQUESTS:
        operation["reply"] = _reply()
    return f"{actor.name}-{action}s-{channel_id(topic)}", operation


def _reply() -> Json:
    channel = f"#/channels/{REPLIES}"
    return {
        "address": {
            "location": f"$message.header#/{REPLY_TO}",
            "description": f"The default without this header is `{topics.RESULTS.name}`.",
        },
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{RESULT.name}"}],
    }
