"""The errors of the transport. No exception of aiokafka leaves this package.

::

    TransportError
    ├── KafkaUnreachableError    no broker answered before the deadline
    │   └── UntrustedBrokerError a broker answered, but no trusted CA has signed its certificate
    ├── AccessDeniedError        wrong credentials, or an ACL denies the request
    ├── UnknownTopicError        the topic or partition does not exist
    ├── TopicStarvedError        a partition has no leader or too few in-sync replicas: no writes for now
    ├── RecordRefusedError       the broker will never accept this record
    ├── OffsetLostError          the position lies outside the log: retention deleted it, or the topic was recreated
    ├── UnreadableError          the log's data at the position cannot be read
    ├── OpenTransactionError     a partition has a forgotten transaction (``open_transactions``); nothing was written
    ├── FencedError              another producer has opened the same transactional id since
    ├── OutcomeUnknownError      a write may or may not have happened
    └── BrokerError              any other broker or connection error
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager

from schemas.records import ProducerRecord
from streams.transport.aiokafka_types import KafkaError, errors


class TransportError(Exception):
    """A request to Kafka failed."""


class KafkaUnreachableError(TransportError):
    """No broker answered before the deadline."""

    def __init__(self, bootstrap: str, reason: object = "") -> None:
        super().__init__(f"cannot reach Kafka at {bootstrap}" + (f": {reason}" if reason else ""))


class UntrustedBrokerError(KafkaUnreachableError):
    """A broker's certificate is not signed for its name by a trusted CA."""


class AccessDeniedError(TransportError):
    """The credentials are wrong, or an ACL denies the request. ``topics`` are the denied topics, if any."""

    def __init__(self, message: str, *, topics: Collection[str] = ()) -> None:
        super().__init__(message)
        self.topics = frozenset(topics)


class UnknownTopicError(TransportError):
    """The topic or partition does not exist."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist")
        self.topic = topic


class TopicStarvedError(TransportError):
    """A partition of the topic has no leader or too few in-sync replicas, so it accepts no writes for now."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} has no leader or too few copies in step")
        self.topic = topic


class RecordRefusedError(TransportError):
    """The broker refuses the record permanently: too large, or not valid for its topic.

    ``topic`` is the destination, if known. ``records`` is the number of records in the refused batch. ``size`` is the
    record's size in bytes if it was alone in its batch; 0 if the topic accepts no record at all. ``record`` is set if
    the record was alone and neither its size nor its timestamp was the reason.
    """

    def __init__(
        self,
        message: str,
        *,
        topic: str | None = None,
        records: int = 1,
        size: int = 0,
        record: ProducerRecord | None = None,
    ) -> None:
        super().__init__(message)
        self.topic, self.records, self.size, self.record = topic, records, size, record


class OffsetLostError(TransportError):
    """The next offset to read is no longer, or not yet, in the log."""


class UnreadableError(TransportError):
    """The log's data at the position cannot be read: it is damaged, or its format or compression is unknown."""


class FencedError(TransportError):
    """Another producer has opened the same transactional id since."""


class OutcomeUnknownError(TransportError):
    """A write may or may not have happened: read the log before writing again."""


class BrokerError(TransportError):
    """Any other error of a broker or of the connection to it."""


_KINDS: tuple[tuple[tuple[type[Exception], ...], type[TransportError]], ...] = (
    ((errors.OffsetOutOfRangeError, errors.NoOffsetForPartitionError), OffsetLostError),
    ((errors.RecordTooLargeError,), UnreadableError),
    ((errors.ProducerFenced, errors.InvalidProducerEpoch), FencedError),
    (
        (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, errors.InvalidTimestampError),
        RecordRefusedError,
    ),
    (
        (
            errors.AuthenticationFailedError,
            errors.SaslAuthenticationFailed,
            errors.AuthenticationMethodNotSupported,
            errors.UnsupportedSaslMechanismError,
            errors.TopicAuthorizationFailedError,
            errors.GroupAuthorizationFailedError,
            errors.ClusterAuthorizationFailedError,
            errors.TransactionalIdAuthorizationFailed,
        ),
        AccessDeniedError,
    ),
)


def own(error: Exception) -> TransportError:
    """Return the TransportError for an aiokafka *error*. A TransportError is returned as it is."""
    if isinstance(error, TransportError):
        return error
    for theirs, ours in _KINDS:
        if isinstance(error, theirs):
            return ours(repr(error))
    return BrokerError(repr(error))


@contextmanager
def translated() -> Generator[None]:
    """Translate aiokafka's exceptions to TransportError inside the context."""
    try:
        yield
    except KafkaError as error:
        raise own(error) from error


def may_pass(error: Exception) -> bool:
    """Return True if the error is transient: a node is unavailable, or a coordinator moves or loads."""
    return bool(getattr(error, "retriable", False)) or isinstance(error, errors.NodeNotReadyError)
