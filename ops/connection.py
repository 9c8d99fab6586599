"""Build the Kafka connection from the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ops.errors import ConfigurationError, NoBrokerError
from ops.settings import Settings

if TYPE_CHECKING:
    from streams.transport.connection import Connection

REFUSED_S = 3.0
"""Seconds after which a command gives up a cluster whose every address refuses. Stages wait for it."""


def command_connection(settings: Settings) -> Connection:
    """Return the connection for a command, whose user waits at the terminal. Raises NoBrokerError as below."""
    return replace(connection_of(settings), refused_s=REFUSED_S)


def connection_of(settings: Settings) -> Connection:
    """Return the connection that the settings describe. Raises as ``check_connection``."""
    from streams.transport.connection import Connection  # noqa: PLC0415 - a check needs no client

    password = settings.kafka_password
    return Connection(
        bootstrap=check_connection(settings),
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=None if password is None else password.get_secret_value(),
        ca_file=None if settings.kafka_ca_file is None else str(settings.kafka_ca_file),
    )


def check_connection(settings: Settings) -> str:
    """Return the brokers. Raises NoBrokerError if there are none.

    Raises ConfigurationError if the protocol has SASL, and the user or the password is missing.
    """
    protocol = settings.kafka_security_protocol
    given = {"HEADRACE_KAFKA_USERNAME": settings.kafka_username, "HEADRACE_KAFKA_PASSWORD": settings.kafka_password}
    missing = [name for name, value in given.items() if value is None]
    if not settings.kafka_bootstrap:
        raise NoBrokerError
    if protocol.startswith("SASL") and missing:
        raise ConfigurationError(
            f"{missing[0]} is not set, and HEADRACE_KAFKA_SECURITY_PROTOCOL is `{protocol}`: set it,"
            " or use the protocol PLAINTEXT or SSL"
        )
    return settings.kafka_bootstrap
