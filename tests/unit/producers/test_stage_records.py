"""Records between the stages."""

from __future__ import annotations

import pytest

from producers.stage_records import authorized_record, screened_record
from schemas.errors import UnauthenticatedError
from schemas.headers import SEAL, Headers
from schemas.records import ProducerRecord
from schemas.seals import Seals
from schemas.stage_records import Authorized, Screened
from schemas.topics import RETRIES_1M, SCREENED
from tests.unit.producers import samples
from tests.unit.producers.samples import TRACE, texts

SEALS = Seals({"k1": b"0123456789abcdef"}, "cluster")


def verify(output: ProducerRecord, topic: str) -> None:
    """The seal is that of this topic."""
    SEALS.verify(topic, output.key, output.value, Headers(output.headers).text(SEAL))


def test_a_hop_is_keyed_by_tenant_and_lane_and_sealed_for_its_topic() -> None:
    """The seal of one hop is worth nothing on another."""
    output = authorized_record(samples.AUTHORIZED, SEALS, TRACE)

    assert output.topic == "platform.authorized"
    assert output.key == b"acme|session|acme|s-1"
    assert Authorized.model_validate_json(output.value or b"") == samples.AUTHORIZED
    assert texts(output)["ce_type"] == "headrace.authorized.v1"
    assert dict(output.headers)["kafka_correlationId"] == samples.ORIGIN.correlation_id
    assert TRACE[0] in output.headers
    verify(output, "platform.authorized")
    with pytest.raises(UnauthenticatedError):
        verify(output, "platform.screened")


@pytest.mark.parametrize(("topic", "name"), [(SCREENED, "platform.screened"), (RETRIES_1M, "platform.retries.1m")])
def test_a_screened_hop_goes_on_or_to_a_tier_under_the_same_key(topic: object, name: str) -> None:
    """What must run in order meets in one partition, on whichever way."""
    target = SCREENED if topic is SCREENED else RETRIES_1M
    output = screened_record(samples.SCREENED, SEALS, TRACE, topic=target, partition=3)

    assert (output.topic, output.partition, output.key) == (name, 3, b"acme|session|acme|s-1")
    assert Screened.model_validate_json(output.value or b"") == samples.SCREENED
    assert texts(output)["ce_type"] == "headrace.screened.v1"
    verify(output, name)


def test_the_same_hop_is_the_same_bytes() -> None:
    """Written again by a retry or a replay, it can be told that it is the same."""
    once, again = (screened_record(samples.SCREENED, SEALS, TRACE) for _ in range(2))

    assert once == again
