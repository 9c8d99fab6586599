"""Build the Kafka connection from the settings."""

from __future__ import annotations

from ops.errors import NoBrokerError
from ops.settings import Settings
from streams.transport.connection import Connection


def connection_of(settings: Settings) -> Connection:
    """Return the connection that the settings describe. Raises NoBrokerError if they name no broker."""
    if not settings.kafka_bootstrap:
        raise NoBrokerError
    password = settings.kafka_password
    return Connection(
        bootstrap=settings.kafka_bootstrap,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=None if password is None else password.get_secret_value(),
        ca_file=None if settings.kafka_ca_file is None else str(settings.kafka_ca_file),
    )
