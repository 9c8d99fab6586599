"""The settings as a connection."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from ops.connection import connection_of
from ops.errors import ConfigurationError, NoBrokerError
from ops.settings import Settings

LOGIN = Settings(kafka_bootstrap="kafka-1:9093", kafka_security_protocol="SASL_SSL")


def test_a_login_without_a_user_or_a_password_is_refused() -> None:
    """aiokafka's own error comes later, names no variable, and differs by mechanism."""
    with pytest.raises(ConfigurationError, match=r"HEADRACE_KAFKA_USERNAME is not set, and .* is `SASL_SSL`: set it"):
        connection_of(LOGIN)
    with pytest.raises(ConfigurationError, match="HEADRACE_KAFKA_PASSWORD is not set"):
        connection_of(LOGIN.model_copy(update={"kafka_username": "me", "kafka_sasl_mechanism": "SCRAM-SHA-512"}))


def test_a_complete_login_is_passed_on() -> None:
    """The password as it is."""
    given = LOGIN.model_copy(update={"kafka_username": "me", "kafka_password": SecretStr(" wörd ")})

    connection = connection_of(given)

    assert (connection.sasl_mechanism, connection.username, connection.password) == ("PLAIN", "me", " wörd ")


def test_no_broker_is_an_error_of_its_own() -> None:
    """The next step is another one."""
    with pytest.raises(NoBrokerError):
        connection_of(Settings(kafka_bootstrap=None))
