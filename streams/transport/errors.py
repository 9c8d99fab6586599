"""What can go wrong between us and Kafka, in our own words; nothing that aiokafka raises leaves this room.

::

    TransportError
    ├── KafkaUnreachableError    no broker answered before the deadline
    │   └── UntrustedBrokerError one did, with a certificate that no known authority vouches for
    ├── AccessDeniedError        wrong credentials, or an ACL says no
    ├── UnknownTopicError        the topic or partition does not exist
    ├── TopicStarvedError        the topic has no leader or too few copies in step: it takes nothing for now
    ├── RecordRefusedError       the broker will never take this record
    ├── OffsetLostError          the position lies outside the log: deleted by retention, or the topic was made anew
    ├── UnreadableError          what the log holds there cannot be read
    ├── FencedError              somebody else has opened the same transactional id since
    ├── OutcomeUnknownError      a write may or may not have happened
    └── BrokerError              anything else a broker said
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager

from schemas.records import Outgoing
from streams.transport.library import KafkaError, errors


class TransportError(Exception):
    """Kafka did not do what was asked."""


class KafkaUnreachableError(TransportError):
    """No broker answered before the deadline."""

    def __init__(self, bootstrap: str, reason: object = "") -> None:
        super().__init__(f"cannot reach Kafka at {bootstrap}" + (f": {reason}" if reason else ""))


class UntrustedBrokerError(KafkaUnreachableError):
    """A broker's certificate is not one that an authority we know has signed for its name."""


class AccessDeniedError(TransportError):
    """The credentials are wrong, or an ACL forbids it: of ``topics``, if it is about some."""

    def __init__(self, message: str, *, topics: Collection[str] = ()) -> None:
        super().__init__(message)
        self.topics = frozenset(topics)


class UnknownTopicError(TransportError):
    """There is no such topic or partition."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist")
        self.topic = topic


class TopicStarvedError(TransportError):
    """A partition of the topic has no leader, or too few copies in step: it takes nothing for now."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} has no leader or too few copies in step")
        self.topic = topic


class RecordRefusedError(TransportError):
    """The broker refuses the record for good: too large, or not valid for its topic.

    ``topic`` is where it was to go, if that is known; ``records`` were in the refused batch; ``size`` is that of the
    record if it was alone, and 0 if the topic takes none at all. ``record`` is it if its size was not the reason.
    """

    def __init__(
        self,
        message: str,
        *,
        topic: str | None = None,
        records: int = 1,
        size: int = 0,
        record: Outgoing | None = None,
    ) -> None:
        super().__init__(message)
        self.topic, self.records, self.size, self.record = topic, records, size, record


class OffsetLostError(TransportError):
    """What was to be read next is no longer, or not yet, in the log."""


class UnreadableError(TransportError):
    """What the log holds at the position cannot be read: damaged, or packed in a way that nobody knows."""


class FencedError(TransportError):
    """Somebody else has opened the same transactional id since."""


class OutcomeUnknownError(TransportError):
    """A write may or may not have happened: read what is there before writing again."""


class BrokerError(TransportError):
    """Anything else that a broker, or the way to it, said."""


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
    """The error of this room that says what *error* of aiokafka's says."""
    if isinstance(error, TransportError):
        return error
    for theirs, ours in _KINDS:
        if isinstance(error, theirs):
            return ours(repr(error))
    return BrokerError(repr(error))


@contextmanager
def translated() -> Generator[None]:
    """Turns what aiokafka raises inside into errors of this room."""
    try:
        yield
    except KafkaError as error:
        raise own(error) from error


def may_pass(error: Exception) -> bool:
    """Whether the same request may be answered in a moment: a node is away, a coordinator moves or loads."""
    return bool(getattr(error, "retriable", False)) or isinstance(error, errors.NodeNotReadyError)
