"""Build the Kafka connection from the settings."""

from __future__ import annotations

from ops.errors import ConfigurationError, NoBrokerError
from dataclasses import replace
from ops.settings import Settings
from streams.transport.connection import Connection

REFUSED_S = 3.0
"""Seconds after which a command gives up a cluster whose every address refuses. Stages wait for it."""


def command_connection(settings: Settings) -> Connection:
    """Return the connection for a command, whose user waits at the terminal. Raises NoBrokerError as below."""
    return replace(connection_of(settings), refused_s=REFUSED_S)


def connection_of(settings: Settings) -> Connection:
    """Return the connection that the settings describe. Raises NoBrokerError if they name no broker.

    Raises ConfigurationError if the protocol has SASL, and the user or the password is missing.
    """
    if not settings.kafka_bootstrap:
        raise NoBrokerError
    _check_login(settings)
    password = settings.kafka_password
    return Connection(
        bootstrap=settings.kafka_bootstrap,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=None if password is None else password.get_secret_value(),
        ca_file=None if settings.kafka_ca_file is None else str(settings.kafka_ca_file),
    )


def _check_login(settings: Settings) -> None:
    protocol = settings.kafka_security_protocol
    given = {"HEADRACE_KAFKA_USERNAME": settings.kafka_username, "HEADRACE_KAFKA_PASSWORD": settings.kafka_password}
    missing = [name for name, value in given.items() if value is None]
    if protocol.startswith("SASL") and missing:
        raise ConfigurationError(
            f"{missing[0]} is not set, and HEADRACE_KAFKA_SECURITY_PROTOCOL is `{protocol}`: set it,"
            " or use the protocol PLAINTEXT or SSL"
        )
