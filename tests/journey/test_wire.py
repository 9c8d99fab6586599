"""What clients send that have nothing of ours, and what comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest

from schemas import topics
from tests.journey.kcat import Kcat, Seen
from tests.journey.platform import Platform

REQUESTS, RESULTS = topics.REQUESTS.of("acme"), topics.RESULTS.of("acme")
DEAD_LETTERS = topics.DEAD_LETTERS.name


@pytest.fixture
def kcat(platform: Platform) -> Kcat:
    """A client of the platform."""
    return Kcat(platform.bootstrap)


def body(text: str, agent: str = "echo", **more: object) -> bytes:
    """A request as JSON."""
    return json.dumps({"agent": agent, "input": text, **more}).encode()


def fresh() -> str:
    """A text that no other test uses."""
    return uuid.uuid4().hex


def says(text: str) -> Callable[[Seen], bool]:
    """Whether a result's output is *text*."""
    return lambda record: record.json.get("output") == text


def is_of(request_id: str) -> Callable[[Seen], bool]:
    """Whether a result answers the request."""
    return lambda record: record.json.get("request_id") == request_id


def one(found: list[Seen]) -> Seen:
    """The only one."""
    assert len(found) == 1
    return found[0]


def goes_on(kcat: Kcat) -> None:
    """The next record flows."""
    text = fresh()
    kcat.produce(REQUESTS, body(text))
    assert one(kcat.wait(RESULTS, says(text))).json["status"] == "succeeded"


def test_a_request_typed_by_hand_is_answered(kcat: Kcat) -> None:
    """Bare JSON without headers or key, as from a Kafka UI: its position is its id."""
    text = fresh()
    kcat.produce(REQUESTS, body(text))
    result = one(kcat.wait(RESULTS, says(text)))
    assert result.json["status"] == "succeeded"
    assert result.json["request_id"].startswith(f"{REQUESTS}:0:")
    assert {"traceparent", "correlation_id", "ce_id", "ce_type", "ce_source"} <= result.headers.keys()


def test_a_null_header_is_no_header(kcat: Kcat) -> None:
    """kcat's ``-H name`` sends NULL; many libraries fall over it."""
    text, request_id = fresh(), fresh()
    kcat.produce(REQUESTS, body(text), headers=[f"ce_id={request_id}", "ce_source", "x-nothing"])
    assert one(kcat.wait(RESULTS, says(text))).json["request_id"] == request_id


def test_a_structured_event_is_answered(kcat: Kcat) -> None:
    """Attributes in the value, the content type says so."""
    text, request_id = fresh(), fresh()
    event = {
        "specversion": "1.0",
        "id": request_id,
        "source": "/test",
        "type": "headrace.request.v1",
        "data": {"agent": "echo", "input": text},
    }
    kcat.produce(REQUESTS, json.dumps(event).encode(), headers=["content-type=application/cloudevents+json"])
    assert one(kcat.wait(RESULTS, says(text))).json["request_id"] == request_id


def test_a_schema_registry_prefix_is_tolerated(kcat: Kcat) -> None:
    """A zero byte and the schema's id stand before the JSON."""
    text = fresh()
    kcat.produce(REQUESTS, b"\x00\x00\x00\x00\x07" + body(text))
    assert one(kcat.wait(RESULTS, says(text))).json["status"] == "succeeded"


def test_what_is_not_json_is_buried_as_it_came_and_answered(kcat: Kcat) -> None:
    """Poison never blocks its partition."""
    text = f"not json {fresh()}"
    kcat.produce(REQUESTS, text.encode())
    dead_letter = one(kcat.wait(DEAD_LETTERS, lambda record: record.value == text))
    assert dead_letter.headers["headrace-error-code"] == "malformed"
    assert {"traceparent", "correlation_id", "ce_id"} <= dead_letter.headers.keys()
    goes_on(kcat)


@pytest.mark.parametrize("readable", [True, False])
def test_a_header_whose_name_is_no_text_is_as_good_as_any_other(kcat: Kcat, *, readable: bool) -> None:
    """Kafka takes it; what is not UTF-8 is spelled out, in the dead letter too."""
    text, strange = fresh(), os.fsdecode(b"x-\xff=1")
    kcat.produce(REQUESTS, body(text) if readable else text.encode(), headers=[strange])
    if readable:
        assert one(kcat.wait(RESULTS, says(text))).json["status"] == "succeeded"
    else:
        dead_letter = one(kcat.wait(DEAD_LETTERS, lambda record: record.value == text))
        assert dead_letter.headers["headrace-error-code"] == "malformed"
        assert dead_letter.headers["x-\\xff"] == "1"
    goes_on(kcat)


@pytest.mark.parametrize(
    ("value", "code", "status"),
    [
        (b'{"input": "no agent"}', "malformed", "failed"),
        (b'{"agent": "nobody", "input": "x"}', "unknown_agent", "refused"),
    ],
)
def test_what_cannot_run_is_told_why(kcat: Kcat, value: bytes, code: str, status: str) -> None:
    """The id can be read, so the client hears of it."""
    request_id = fresh()
    kcat.produce(REQUESTS, value, headers=[f"ce_id={request_id}"])
    result = one(kcat.wait(RESULTS, is_of(request_id)))
    assert (result.json["status"], result.json["error"]["code"]) == (status, code)
    goes_on(kcat)


def test_a_reserved_header_that_stands_twice_is_malformed(kcat: Kcat) -> None:
    """Two readers might take different ones."""
    text, request_id = fresh(), fresh()
    twice = ["reply_to=a", "reply_to=b", f"ce_id={request_id}"]
    kcat.produce(REQUESTS, body(text), headers=twice)
    dead_letter = one(kcat.wait(DEAD_LETTERS, lambda record: text in record.value))
    assert dead_letter.headers["headrace-error-code"] == "malformed"
    assert one(kcat.wait(RESULTS, is_of(request_id))).json["error"]["code"] == "malformed"
    goes_on(kcat)


def test_what_is_over_the_limit_is_buried(kcat: Kcat) -> None:
    """The broker takes a little more than a client may send, so that it is answered and not lost."""
    text, request_id = fresh(), fresh()
    kcat.produce(REQUESTS, body(text + "x" * topics.EDGE_VALUE_LIMIT), headers=[f"ce_id={request_id}"])
    assert one(kcat.wait(RESULTS, is_of(request_id))).json["error"]["code"] == "too_large"
    dead_letter = one(kcat.wait(DEAD_LETTERS, lambda record: text in record.value))
    assert dead_letter.headers["headrace-error-code"] == "too_large"
    goes_on(kcat)


def test_a_request_of_exactly_the_limit_is_answered(kcat: Kcat) -> None:
    """Every topic on its way takes what the first one took."""
    request_id = fresh()
    frame = len(body(""))
    kcat.produce(REQUESTS, body("y" * (topics.EDGE_VALUE_LIMIT - frame)), headers=[f"ce_id={request_id}"])
    result = one(kcat.wait(RESULTS, is_of(request_id))).json
    assert result["status"] == "succeeded"
    assert len(result["output"]) == topics.EDGE_VALUE_LIMIT - frame


def test_a_record_written_straight_to_an_inner_topic_runs_nothing(platform: Platform, kcat: Kcat) -> None:
    """Only what bears the seal of the stage before is believed."""
    text = fresh()
    platform.model.clear()
    kcat.produce(topics.SCREENED.name, body(text, agent="assistant"), key="acme|x")
    dead_letter = one(kcat.wait(DEAD_LETTERS, lambda record: text in record.value))
    assert dead_letter.headers["headrace-error-code"] == "unauthenticated"
    goes_on(kcat)
    assert not [record for record in kcat.read(RESULTS) if text in record.value]


def test_a_tombstone_is_buried(kcat: Kcat) -> None:
    """A NULL value is a record like any other."""
    key = fresh()
    kcat.tombstone(REQUESTS, key)
    result = one(kcat.wait(RESULTS, lambda record: record.key == key))
    assert result.json["error"]["code"] == "malformed"
    dead_letter = one(
        kcat.wait(DEAD_LETTERS, lambda record: record.headers["correlation_id"] == result.json["request_id"])
    )
    assert dead_letter.raw["payload"] is None
    goes_on(kcat)


def test_a_failed_run_leaves_a_result_and_a_dead_letter(kcat: Kcat) -> None:
    """Both in the transaction of its offset."""
    request_id = fresh()
    kcat.produce(REQUESTS, body("x", metadata={"fail": "model_rejected"}), headers=[f"ce_id={request_id}"])
    result = one(kcat.wait(RESULTS, is_of(request_id)))
    assert (result.json["status"], result.json["error"]["code"]) == ("failed", "model_rejected")
    dead_letter = one(kcat.wait(DEAD_LETTERS, lambda record: request_id in record.value))
    assert dead_letter.key is not None
    assert dead_letter.key.startswith("acme|")
    assert dead_letter.headers["headrace-error-code"] == "model_rejected"
    assert "headrace-seal" not in dead_letter.headers


def test_one_trace_leads_from_the_request_to_its_result(platform: Platform, kcat: Kcat) -> None:
    """It rides in the headers of every topic on the way."""
    text, request_id, trace_id = fresh(), fresh(), fresh()
    headers = [f"ce_id={request_id}", f"traceparent=00-{trace_id}-00f067aa0ba902b7-01", "correlation_id=mine"]
    kcat.produce(REQUESTS, body(text), headers=headers)
    result = one(kcat.wait(RESULTS, says(text)))
    assert (result.trace_id, result.headers["correlation_id"]) == (trace_id, "mine")
    hops = [topics.SCREENED.name, topics.ADMISSIONS.name]
    for topic in [*hops, topics.AUTHORIZED.name] if platform.journey == "split" else hops:
        found = kcat.wait(topic, lambda record: record.headers.get("ce_subject") == request_id)
        assert {record.trace_id for record in found} == {trace_id}
        assert all({"ce_id", "ce_type", "correlation_id"} <= record.headers.keys() for record in found)


def test_a_binary_correlation_id_comes_back_byte_for_byte(platform: Platform) -> None:
    """Spring sends 16 raw bytes; kcat cannot, so this one needs a client in Python."""
    script = """
import asyncio, sys, uuid
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from schemas.records import ProducerRecord
async def main(bootstrap, requests, results):
    raw = uuid.uuid4().bytes
    connection = Connection(bootstrap)
    reader = await Reader.open(connection, results, "latest")
    async with await Writer.open(connection) as writer:
        value = b'{"agent": "echo", "input": "binary"}'
        await writer.send(ProducerRecord(requests, None, value, (("kafka_correlationId", raw),)))
    async for record in reader:
        found = dict(record.headers)
        if found.get("kafka_correlationId") == raw:
            assert found["correlation_id"] == raw
            print("same")
            break
    await reader.close()
asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 30))
"""
    command = [sys.executable, "-c", script, platform.bootstrap, REQUESTS, RESULTS]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.stdout.strip() == "same", answer.stderr[-2000:]


def test_a_reply_topic_that_is_not_listed_is_refused(kcat: Kcat) -> None:
    """Anywhere else would be somebody else's topic."""
    request_id = fresh()
    headers = [f"ce_id={request_id}", f"reply_to={topics.RESULTS.of('globex')}"]
    kcat.produce(REQUESTS, body("x"), headers=headers)
    assert one(kcat.wait(RESULTS, is_of(request_id))).json["error"]["code"] == "forbidden"
    assert not [record for record in kcat.read(topics.RESULTS.of("globex")) if request_id in record.value]


def test_every_record_of_ours_bears_its_headers(platform: Platform, kcat: Kcat) -> None:
    """Whoever looks with kcat or a UI sees what a record is, whose it is, and which trace it belongs to."""
    goes_on(kcat)
    answer = platform.cli("submit", "--tenant", "globex", "--agent", "assistant", "--wait", "--json", "may I?")
    assert answer.returncode == 3, answer.stderr
    inner = [topic.name for topic in topics.PLATFORM if topic not in {topics.SHARDS, topics.SCREENED}]
    submitted = [
        each
        for each in kcat.read(topics.REQUESTS.of("globex"))
        if each.headers.get("ce_id") == json.loads(answer.stdout)["request_id"]
    ]
    written = [
        (topic, record) for topic in (RESULTS, topics.RESULTS.of("globex"), *inner) for record in kcat.read(topic)
    ]
    bare = {
        f"{topic}: {missing}"
        for topic, record in [(topics.REQUESTS.of("globex"), one(submitted)), *written]
        if (missing := {"traceparent", "correlation_id", "ce_id", "ce_source", "ce_type"} - record.headers.keys())
    }
    assert not {line for line in bare if "ce_id" in line or "traceparent" in line or "correlation_id" in line}
    assert not {line for line in bare if not line.startswith(DEAD_LETTERS)}  # a client's own event need not say more
