"""Transactions whose end has been decided and cannot be written down: what a broker says of a transactional id."""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.transport.errors import may_pass
from streams.transport.library import (
    ConnectionGroup,
    CoordinationType,
    InitProducerIdRequest,
    KafkaError,
    Theirs,
    errors,
    types,
)
from streams.transport.library import RequestStruct as _Struct
from streams.transport.library import Response as _Response

ABORTING: Final = "PrepareAbort"
_OFFSETS: Final = "__consumer_offsets"


class Transaction(NamedTuple):
    """The transaction of one id."""

    state: str
    pending: frozenset[str]
    """Topics that take part; once its end has been decided, those that have not been told."""

    @property
    def harmless(self) -> bool:
        """Whether it can change nothing any more: it will be aborted, and the group's offsets know that."""
        return self.state == ABORTING and _OFFSETS not in self.pending


async def transaction_of(client: Theirs, transactional_id: str) -> Transaction | None:
    """What the coordinator says of the id; None if it does not know."""
    node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
    answer = await client.send(node, _Describe(transactional_id), group=ConnectionGroup.COORDINATION)
    ((code, _, state, _, _, _, _, topics, _),) = answer.transactions
    return None if code else Transaction(state, frozenset(topic for topic, *_ in topics))


async def fence(client: Theirs, transactional_id: str, timeout_ms: int) -> bool:
    """Bump the epoch of an id that nobody here uses (InitProducerId). False if it has to be asked for again."""
    try:
        node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
        request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=timeout_ms)
        answer = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        error: type[Exception] = errors.for_code(answer.error_code)
        if error is not errors.NoError:
            raise error
    except errors.ConcurrentTransactions:
        return False
    except KafkaError as trouble:
        if not may_pass(trouble):
            raise
        client.force_metadata_update()
        return False
    return True


class _Describe:
    """DescribeTransactions, version 0 (KIP-664), which aiokafka does not have. Kafka has had it since 3.0."""

    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._transactional_id = transactional_id

    def prepare(self, _versions: Theirs) -> Theirs:
        """What is sent: there is one version."""
        return _REQUEST([self._transactional_id], {})


def _struct(base: Theirs, name: str, *fields: tuple[str, Theirs], **more: Theirs) -> Theirs:
    schema = types.Schema(*fields, ("tags", types.TaggedFields))
    return type(name, (base,), {"API_KEY": _Describe.API_KEY, "API_VERSION": 0, "SCHEMA": schema, **more})


_TEXT: Theirs = types.CompactString("utf-8")
_ANSWER = _struct(
    _Response,
    "DescribeTransactionsResponse_v0",
    ("throttle_time_ms", types.Int32),
    (
        "transactions",
        types.CompactArray(
            ("error_code", types.Int16),
            ("transactional_id", _TEXT),
            ("state", _TEXT),
            ("timeout_ms", types.Int32),
            ("started_ms", types.Int64),
            ("producer_id", types.Int64),
            ("producer_epoch", types.Int16),
            (
                "topics",
                types.CompactArray(
                    ("topic", _TEXT), ("partitions", types.CompactArray(types.Int32)), ("tags", types.TaggedFields)
                ),
            ),
            ("tags", types.TaggedFields),
        ),
    ),
)
_REQUEST = _struct(
    _Struct,
    "DescribeTransactionsRequest_v0",
    ("transactional_ids", types.CompactArray(_TEXT)),
    FLEXIBLE_VERSION=True,
    RESPONSE_TYPE=_ANSWER,
)
