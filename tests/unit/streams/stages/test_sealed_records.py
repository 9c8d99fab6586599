"""Opening what the stage before has sealed, and what becomes of a record that will not open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from producers.stage_records import authorized_record, screened_record
from schemas.admissions import AdmissionEvent
from schemas.errors import InternalError, UnauthenticatedError, UnsupportedVersionError
from schemas.headers import SEAL
from schemas.records import Record
from schemas.seals import Seals
from schemas.topics import ADMISSIONS, AUTHORIZED, DEAD_LETTERS, SCREENED
from streams.stages.sealed_records import open_record, reject
from streams.telemetry.trace_context import follow
from tests.unit.producers import samples
from tests.unit.producers.samples import TRACE
from tests.unit.streams.engine.shard_setup import SEALS, StillClock, as_read, builder, header, on, the_result

HOP = as_read(authorized_record(samples.AUTHORIZED, SEALS, TRACE))


def sealed(value: bytes, topic: str = "platform.screened") -> Record:
    """The value under our own seal."""
    key = HOP.key or b""
    return HOP._replace(topic=topic, value=value, headers=((SEAL, SEALS.seal(topic, key, value).encode()),))


def newer(stage_record: dict[str, Any]) -> bytes:
    """The hop as a later version might write it."""
    stage_record["colour"] = stage_record["admission"]["rank"] = stage_record["origin"]["region"] = "new"
    stage_record["request"]["input"] = {"audio": "..."}
    return json.dumps(stage_record).encode()


AUTHORIZED_FIELDS = samples.AUTHORIZED.model_dump_json()


def test_a_hop_of_the_stage_before_opens() -> None:
    """Exactly as it was closed."""
    assert open_record(AUTHORIZED, HOP, SEALS) == samples.AUTHORIZED


@pytest.mark.parametrize(
    "forged",
    [
        HOP._replace(headers=()),
        HOP._replace(headers=((SEAL, None),)),
        HOP._replace(headers=((SEAL, b"\xff\xfe"),)),
        HOP._replace(headers=((SEAL, b"v1.k1.AAAA"),)),
        HOP._replace(value=(HOP.value or b"").replace(b"hello", b"adieu")),
        HOP._replace(value=None),
        HOP._replace(key=b"globex|session|globex|s-1"),
        HOP._replace(key=None),
        HOP._replace(topic="platform.screened"),
        as_read(authorized_record(samples.AUTHORIZED, Seals({"k1": b"another secret.."}, "cluster"), TRACE)),
        as_read(authorized_record(samples.AUTHORIZED, Seals({"k1": b"0123456789abcdef"}, "elsewhere"), TRACE)),
    ],
)
def test_what_the_stage_before_has_not_written_is_not_believed(forged: Record) -> None:
    """A writer on an internal topic, or a copied record, makes nobody run anything, and frees no place."""
    with pytest.raises(UnauthenticatedError) as caught:
        open_record(AUTHORIZED, forged, SEALS)

    (dead_letter,) = reject(builder(StillClock()), forged, caught.value, follow(()))
    assert dead_letter.topic == DEAD_LETTERS.name
    assert (dead_letter.key or b"").startswith(b"_unknown|")
    assert header(dead_letter, SEAL) is None


@pytest.mark.parametrize(
    "value",
    [
        newer(json.loads(AUTHORIZED_FIELDS)),
        newer(json.loads(AUTHORIZED_FIELDS)).replace(b'"run_id"', b'"x":1,"run_id"'),
    ],
)
@pytest.mark.parametrize("screened", [True, False])
def test_the_caller_of_a_hop_of_another_version_is_told_and_its_place_is_free(*, screened: bool, value: bytes) -> None:
    """While versions are mixed; else the door would keep the place for ever."""
    written = b'{"authorized": %b, "text": "x", "mood": "new"}' % value if screened else value
    record = sealed(written, SCREENED.name if screened else AUTHORIZED.name)
    with pytest.raises(UnsupportedVersionError) as caught:
        open_record(SCREENED, record, SEALS) if screened else open_record(AUTHORIZED, record, SEALS)

    outputs = reject(builder(StillClock()), record, caught.value, follow(TRACE))

    result = the_result(outputs)
    assert (result.request_id, result.run_id, result.agent) == ("r-1", samples.IDENTITY.digest, "echo")
    assert result.error is not None
    assert result.error.code == "unsupported_version"
    assert (
        AdmissionEvent.model_validate_json(on(outputs, ADMISSIONS.name)[0].value or b"").admission == samples.ADMISSION
    )
    (dead_letter,) = on(outputs, DEAD_LETTERS.name)
    assert (dead_letter.key or b"").startswith(b"acme|")


@pytest.mark.parametrize("value", [b"not json", b"[]", b"{}", b'{"authorized": 7}', b'{"identity": [], "run_id": 1}'])
def test_what_nobody_understands_is_buried(value: bytes) -> None:
    """Our own seal, and still no request in it."""
    record = sealed(value)
    with pytest.raises(UnsupportedVersionError) as caught:
        open_record(SCREENED, record, SEALS)

    (dead_letter,) = reject(builder(StillClock()), record, caught.value, follow(()))
    assert header(dead_letter, "headrace-error-code") == "unsupported_version"


def test_nothing_is_read_from_a_topic_without_a_payload() -> None:
    """That would be a mistake of ours."""
    record = as_read(screened_record(samples.SCREENED, SEALS, TRACE))

    with pytest.raises(UnauthenticatedError):
        open_record(DEAD_LETTERS, record._replace(topic=DEAD_LETTERS.name), SEALS)
    with pytest.raises(InternalError):
        open_record(DEAD_LETTERS, record, SEALS)
