"""Rules for the AsyncAPI document: each finds faults, and none where there are none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema

from schemas import topics

Json: TypeAlias = dict[str, Any]
Rule: TypeAlias = Callable[[Json], Iterator[str]]

VENDORED = Path(__file__).parent / "vendor" / "asyncapi-3.0.0.json"
_EXPRESSION = re.compile(r"\{([^{}]+)\}")
_HEADER = "$message.header#/"


@cache
def _specification() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(VENDORED.read_text(encoding="utf-8")))


def follows_the_specification(document: Json) -> Iterator[str]:
    """The schema that AsyncAPI publishes."""
    for error in _specification().iter_errors(document):
        yield f"{error.json_path}: {error.message[:200]}"


def references(node: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Every ``$ref`` in it."""
    match node:
        case {"$ref": str(target)}:
            yield target
        case dict():
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)
        case _:
            return


def resolved(document: Json, target: str) -> Any:  # noqa: ANN401 - any JSON
    """What a ``$ref`` points to, through further ones; LookupError if it is not there."""
    here: Any = document
    for step in target.removeprefix("#/").split("/"):
        here = here[step.replace("~1", "/").replace("~0", "~")]
        if isinstance(here, dict) and set(here) == {"$ref"}:
            here = resolved(document, here["$ref"])
    return here


def every_reference_resolves(document: Json) -> Iterator[str]:
    """Within the document: it can be read alone."""
    for target in references(document):
        try:
            resolved(document, target)
        except LookupError:
            yield f"{target} is nowhere"


def schemas_are_of_draft_7(document: Json) -> Iterator[str]:
    """AsyncAPI's own are a superset of it: what a later draft says is passed over in silence."""
    for name, schema in document["components"]["schemas"].items():
        yield from (f"{name} says {word}" for word in _later(schema))


def _later(node: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    match node:
        case dict():
            yield from {"$defs", "prefixItems", "discriminator", "unevaluatedProperties"} & set(node)
            if "$ref" in node and len(node) > 1:
                yield "something beside a $ref"
            for value in node.values():
                yield from _later(value)
        case list():
            for value in node:
                yield from _later(value)
        case _:
            return


def every_topic_is_a_channel(document: Json) -> Iterator[str]:
    """With the settings that provisioning gives it."""
    channels = {channel["address"]: channel for channel in document["channels"].values()}
    for topic in (*topics.PLATFORM, *topics.PER_TENANT, *topics.PER_INTERACTIVE_TENANT):
        channel = channels.get(topic.name)
        if channel is None:
            yield f"{topic.name} is no channel"
        elif not _kept_alike(topic, channel["bindings"]["kafka"]):
            yield f"{topic.name} is kept otherwise"
        elif topic.payload is not None and not channel["messages"]:
            yield f"{topic.name} bears no message"


def _kept_alike(topic: topics.Topic[Any], binding: Json) -> bool:
    shown = binding["topicConfiguration"]
    texts = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in shown.items()}
    return texts == {"cleanup.policy": "delete", **topic.config} and binding["partitions"] >= 1


def parameters_are_those_of_the_address(document: Json) -> Iterator[str]:
    """Each one described, with an example."""
    for name, channel in document["channels"].items():
        given = channel.get("parameters", {})
        if set(given) != set(_EXPRESSION.findall(channel["address"] or "")):
            yield f"{name} has the parameters {sorted(given)}"
        for parameter in given.values():
            described = resolved(document, parameter["$ref"])
            if not described.get("description") or not described.get("examples"):
                yield f"a parameter of {name} says nothing"


def every_message_is_complete(document: Json) -> Iterator[str]:
    """Headers, payload, content type, and what the key is."""
    for name, message in document["components"]["messages"].items():
        missing = {"headers", "payload", "contentType", "title"} - set(message)
        if missing:
            yield f"{name} lacks {sorted(missing)}"
        if message.get("headers", {}).get("type") != "object":
            yield f"{name} has headers that are no object"
        if not message.get("bindings", {}).get("kafka", {}).get("key", {}).get("description"):
            yield f"{name} does not say what its key is"
        if name != "registryRecord" and "correlationId" not in message:
            yield f"{name} has no correlation id"


def every_location_is_a_described_header(document: Json) -> Iterator[str]:
    """Of the message that it is about."""
    for name, message in document["components"]["messages"].items():
        location = message.get("correlationId", {}).get("location")
        if location is not None and location.removeprefix(_HEADER) not in message["headers"]["properties"]:
            yield f"{name} is correlated by {location}"
    for name, operation in document["operations"].items():
        location = str(operation.get("reply", {}).get("address", {}).get("location", ""))
        for message in operation["messages"] if location else ():
            if location.removeprefix(_HEADER) not in resolved(document, message["$ref"])["headers"]["properties"]:
                yield f"{name} is answered at {location}"


def requests_are_answered_with_results(document: Json) -> Iterator[str]:
    """Wherever requests are received: at the address that they name, so the channel has none of its own."""
    for name, operation in document["operations"].items():
        if operation["channel"]["$ref"] != "#/channels/requests" or operation["action"] != "receive":
            continue
        reply = operation.get("reply", {})
        channel = resolved(document, reply["channel"]["$ref"]) if "channel" in reply else {"address": ""}
        if reply.get("address", {}).get("location") != f"{_HEADER}reply_to" or channel["address"] is not None:
            yield f"{name} does not answer where it is told"
        if [target.rsplit("/", 1)[1] for target in references(reply.get("messages", []))] != ["result"]:
            yield f"{name} does not answer with a result"


def operations_speak_of_their_channels_messages(document: Json) -> Iterator[str]:
    """AsyncAPI asks for a subset of them, by reference through the channel."""
    for name, operation in document["operations"].items():
        for part in (operation, operation.get("reply", {})):
            channel = part.get("channel", {}).get("$ref")
            if not all(target.startswith(f"{channel}/messages/") for target in references(part.get("messages", []))):
                yield f"{name} speaks of another channel's messages"


def fits(document: Json, schema: Json, value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Why *value* does not fit a schema of the document."""
    rooted = {"allOf": [schema], "components": document["components"]}
    for error in jsonschema.Draft7Validator(rooted).iter_errors(value):
        yield f"{error.json_path}: {error.message[:200]}"


def every_example_fits(document: Json) -> Iterator[str]:
    """Payload and headers; a request and a result have some."""
    for name, message in document["components"]["messages"].items():
        shown = message.get("examples", [])
        if name in {"request", "result"} and not shown:
            yield f"{name} has no example"
        for example in shown:
            faults = (
                *fits(document, message["payload"], example["payload"]),
                *fits(document, message["headers"], example["headers"]),
            )
            yield from (f"{name}, {example['name']}: {fault}" for fault in faults)


RULES: tuple[Rule, ...] = (
    follows_the_specification,
    every_reference_resolves,
    schemas_are_of_draft_7,
    every_topic_is_a_channel,
    parameters_are_those_of_the_address,
    every_message_is_complete,
    every_location_is_a_described_header,
    requests_are_answered_with_results,
    operations_speak_of_their_channels_messages,
    every_example_fits,
)
