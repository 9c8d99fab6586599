"""A Produce request for one record outside of transactions, and the time at which the broker appended it."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from schemas.records import Partition
from streams.transport.protocol.encoding import NO_TAGS, NULL, ApiRequest, ResponseReader, array, name, sized
from streams.transport.protocol.requests import CLASSIC, PRODUCE

_LEADER_ONLY: Final = 1
_HEAD = struct.Struct(">hi")  # acknowledgements, timeout
_NUMBER = struct.Struct(">i")
_APPENDED = struct.Struct(">ihqqq")  # partition, error code, offset, time of the append, first offset of the log


class AppendResponse(NamedTuple):
    """The result of one append."""

    code: int
    appended_ms: int = -1
    """The leader's time of the append; -1 if the topic keeps the writer's time."""


def append(place: Partition, timeout_ms: int, batch: bytes) -> ApiRequest[AppendResponse]:
    """Build a request that appends *batch*. The leader alone confirms it."""
    partition = _NUMBER.pack(place.number) + sized(batch) + NO_TAGS
    topics = array([name(place.topic) + array([partition]) + NO_TAGS])
    body = [NULL, _HEAD.pack(_LEADER_ONLY, timeout_ms), topics, NO_TAGS]
    return ApiRequest(PRODUCE, CLASSIC.produce, body, _appended)


def _appended(answer: ResponseReader) -> AppendResponse:
    for _ in answer.items():
        answer.text()
        for _ in answer.items():
            _, code, _, appended_ms, _ = answer.unpack(_APPENDED)
            return AppendResponse(code, appended_ms)
    return AppendResponse(-1)
