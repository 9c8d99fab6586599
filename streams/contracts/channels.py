"""The channels of the AsyncAPI document: every topic with its address, parameters and Kafka settings."""

from __future__ import annotations

from typing import Any

from schemas import topics
from schemas.tenants import TENANT_ID, Layout, Tenant
from schemas.topics import Topic
from streams.contracts.examples import TENANT
from streams.contracts.messages import BINDING, MESSAGES, RESULT, Message
from streams.contracts.payloads import Json

REPLIES = "replies"
"""The id of the channel whose address each request names."""


def channels() -> Json:
    """Return a channel for every topic, and one for the reply topic that a request names."""
    known = (*topics.PER_TENANT, *topics.PER_INTERACTIVE_TENANT, *topics.PLATFORM)
    return {channel_id(topic): _channel(topic) for topic in known} | {REPLIES: _replies()}


def channel_id(topic: Topic[Any]) -> str:
    """Return the last part of a tenant topic's name, or the whole name of a platform topic."""
    return topic.name.rsplit(".", 1)[1] if topic.per_tenant else topic.name.replace(".", "-")


def parameters() -> Json:
    """Return the parameters of addresses. AsyncAPI parameters have no pattern, so the description states it."""
    return {
        "tenant": {
            "description": f"The tenant's id, `^{TENANT_ID}$`. No dot: one tenant's prefix never covers another's.",
            "examples": [TENANT],
        }
    }


def _channel(topic: Topic[Any]) -> Json:
    channel: Json = {
        "address": topic.name,
        "title": channel_id(topic).replace("-", " ").capitalize(),
        "messages": _references(MESSAGES[topic]),
        "bindings": {"kafka": _binding(topic)},
        "tags": [{"name": "tenant" if topic.per_tenant else "platform"}],
    }
    if topic.per_tenant:
        channel["parameters"] = {name: {"$ref": f"#/components/parameters/{name}"} for name in parameters()}
    return channel


def _replies() -> Json:
    return {
        "address": None,
        "title": "Replies",
        "description": "The reply topic of a request, by default its tenant's results. Read it with `read_committed`.",
        "messages": _references((RESULT,)),
        "tags": [{"name": "tenant"}],
    }


def _references(found: tuple[Message, ...]) -> Json:
    return {message.name: {"$ref": f"#/components/messages/{message.name}"} for message in found}


def _binding(topic: Topic[Any]) -> Json:
    partitions = {"shards": Layout().shards, "edge": Tenant.model_fields["partitions"].default, "one": 1}
    configuration = {"cleanup.policy": "delete"} | dict(topic.config)
    return {
        "partitions": partitions[topic.partitions],
        "topicConfiguration": {name: _typed(name, value) for name, value in configuration.items()},
        "bindingVersion": BINDING,
    }


def _typed(name: str, value: str) -> str | int | list[str]:
    if name == "cleanup.policy":
        return value.split(",")
    return int(value) if value.isdecimal() else value
