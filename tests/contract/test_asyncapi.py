"""The AsyncAPI document is valid, complete, and says what the code does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from consumers.context import StepContext
from schemas import topics
from streams.contracts import asyncapi
from streams.contracts.operations import actors
from streams.journey import JOURNEYS, JourneyName, Steps
from tests.contract import documents
from tests.contract.documents import RULES, Json, Rule

Plant: TypeAlias = Callable[[Json], None]

DOCUMENT = asyncapi()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_document_keeps_the_rule(rule: Rule) -> None:
    """Tools of others read it."""
    assert list(rule(DOCUMENT)) == []


def _message(document: Json, name: str) -> Json:
    found: Json = document["components"]["messages"][name]
    return found


def _kafka(document: Json, channel: str) -> Json:
    found: Json = document["channels"][channel]["bindings"]["kafka"]
    return found


PLANTS: dict[str, tuple[Rule, Plant]] = {
    "another version": (documents.follows_the_specification, lambda d: d.update(asyncapi="2.6.0")),
    "no version of ours": (documents.follows_the_specification, lambda d: d["info"].pop("version")),
    "a field that is none": (
        documents.follows_the_specification,
        lambda d: d["channels"]["requests"].update(partitions=3),
    ),
    "a retention in words": (
        documents.follows_the_specification,
        lambda d: _kafka(d, "requests")["topicConfiguration"].update({"retention.ms": "long"}),
    ),
    "a lost schema": (documents.every_reference_resolves, lambda d: d["components"]["schemas"].pop("Budget")),
    "a lost message": (documents.every_reference_resolves, lambda d: d["components"]["messages"].pop("event")),
    "a tuple of a later draft": (
        documents.schemas_are_of_draft_7,
        lambda d: d["components"]["schemas"]["Verdict"]["properties"]["evidence"]["items"].update(prefixItems=[]),
    ),
    "a default beside a reference": (
        documents.schemas_are_of_draft_7,
        lambda d: d["components"]["schemas"]["Result"]["properties"].update(
            usage={"$ref": "#/components/schemas/Usage", "default": {}}
        ),
    ),
    "a lost topic": (documents.every_topic_is_a_channel, lambda d: d["channels"].pop("platform-dead-letters")),
    "another retention": (
        documents.every_topic_is_a_channel,
        lambda d: _kafka(d, "requests")["topicConfiguration"].update({"retention.ms": 1}),
    ),
    "an empty topic": (documents.every_topic_is_a_channel, lambda d: d["channels"]["results"]["messages"].clear()),
    "a missing parameter": (
        documents.parameters_are_those_of_the_address,
        lambda d: d["channels"]["requests"].pop("parameters"),
    ),
    "a parameter too many": (
        documents.parameters_are_those_of_the_address,
        lambda d: d["channels"]["platform-screened"].update(parameters=d["channels"]["requests"]["parameters"]),
    ),
    "a parameter without words": (
        documents.parameters_are_those_of_the_address,
        lambda d: d["components"]["parameters"]["tenant"].pop("description"),
    ),
    "no headers": (documents.every_message_is_complete, lambda d: _message(d, "result").pop("headers")),
    "no key": (
        documents.every_message_is_complete,
        lambda d: _message(d, "request")["bindings"]["kafka"].pop("key"),
    ),
    "no correlation": (documents.every_message_is_complete, lambda d: _message(d, "result").pop("correlationId")),
    "correlated by what is not there": (
        documents.every_location_is_a_described_header,
        lambda d: _message(d, "result")["headers"]["properties"].pop("correlation_id"),
    ),
    "answered where nothing is": (
        documents.every_location_is_a_described_header,
        lambda d: _message(d, "request")["headers"]["properties"].pop("reply_to"),
    ),
    "no reply": (
        documents.requests_are_answered_with_results,
        lambda d: d["operations"]["auth-receives-requests"].pop("reply"),
    ),
    "a reply to nowhere": (
        documents.requests_are_answered_with_results,
        lambda d: d["operations"]["ingress-receives-requests"]["reply"].pop("address"),
    ),
    "a reply to two places": (
        documents.requests_are_answered_with_results,
        lambda d: d["channels"]["replies"].update(address="somewhere"),
    ),
    "an empty reply": (
        documents.requests_are_answered_with_results,
        lambda d: d["operations"]["auth-receives-requests"]["reply"]["messages"].clear(),
    ),
    "a message past its channel": (
        documents.operations_speak_of_their_channels_messages,
        lambda d: d["operations"]["auth-sends-results"].update(messages=[{"$ref": "#/components/messages/result"}]),
    ),
    "an example without agent": (
        documents.every_example_fits,
        lambda d: _message(d, "request")["examples"][0]["payload"].pop("agent"),
    ),
    "an example with a long id": (
        documents.every_example_fits,
        lambda d: _message(d, "result")["examples"][0]["headers"].update(ce_id="x" * 129),
    ),
    "a field that went": (
        documents.every_example_fits,
        lambda d: d["components"]["schemas"]["Result"]["properties"].pop("usage"),
    ),
    "no example": (documents.every_example_fits, lambda d: _message(d, "result")["examples"].clear()),
}


@pytest.mark.parametrize("fault", PLANTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    """A rule that has never been seen to fail checks nothing."""
    rule, plant = PLANTS[fault]
    document = copy.deepcopy(DOCUMENT)
    plant(document)

    assert list(rule(document)) != []


def test_every_rule_has_been_seen_to_fail() -> None:
    """Also one that is added later."""
    assert {rule for rule, _ in PLANTS.values()} == set(RULES)


async def _step(value: Any, _context: StepContext) -> Any:  # noqa: ANN401 - stands for any step
    return value


@pytest.mark.parametrize("journey", JOURNEYS)
def test_the_operations_are_those_of_the_journey(journey: JourneyName) -> None:
    """Whoever changes the order of the stages changes the document with it."""
    stages = JOURNEYS[journey](Steps(_step, _step, _step)).stages
    tagged = [op for op in DOCUMENT["operations"].values() if {"name": journey} in op["tags"]]

    for stage in stages:
        mine = [op for op in tagged if op["tags"][0] == {"name": stage.name}]
        places = {
            (op["action"], DOCUMENT["channels"][op["channel"]["$ref"].rsplit("/", 1)[1]]["address"]): op for op in mine
        }
        received = places["receive", stage.reads.name]
        assert received["bindings"]["kafka"]["groupId"]["const"] == stage.group
        assert ("send", stage.writes.name) in places
    assert {op["tags"][0]["name"] for op in tagged} == {stage.name for stage in stages} | {"retries", "ops"}


def test_whatever_is_written_is_read_and_the_other_way_round() -> None:
    """A topic that only one side knows of is a mistake; the empty one is neither."""
    written = {topic.name for actor in actors() for topic in actor.writes}
    read = {topic.name for actor in actors() for topic in (*actor.works, *actor.looks_up)}
    clients_read, clients_write = {topics.RESULTS.name, topics.EVENTS.name}, {topics.REQUESTS.name, topics.CONTROL.name}

    assert written - read == clients_read | {topics.USAGE.name}, "bills are made outside"
    assert read - written == clients_write
