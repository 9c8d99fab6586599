"""The environment of child processes: it has no setting, and a stage gets them all another way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from ops.settings import Settings, child_environment, revealed, stage_environment

SECRETS = {
    "HEADRACE_SEAL_SECRET": "k1:c2VjcmV0",
    "HEADRACE_KAFKA_PASSWORD": "broker secret",
    "HEADRACE_VALKEY_URL": "redis://:state@127.0.0.1:1",
    "OPENAI_API_KEY": "model secret",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=collector secret",
    "AWS_SECRET_ACCESS_KEY": "user secret",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a worker in production."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_a_child_inherits_what_the_system_needs_and_no_secret() -> None:
    """A list of what is secret would be incomplete on the day that somebody adds a name."""
    found = child_environment()

    assert "PATH" in found
    assert not set(SECRETS) & set(found)


def test_a_child_gets_what_is_named_and_what_is_given() -> None:
    """An agent's own variable is its user's choice; a setting is not theirs to name."""
    found = child_environment("AWS_SECRET_ACCESS_KEY", "HEADRACE_SEAL_SECRET", "ABSENT", HEADRACE_LOG="json")

    assert found["AWS_SECRET_ACCESS_KEY"] == "user secret"
    assert found["HEADRACE_LOG"] == "json"
    assert not {"HEADRACE_SEAL_SECRET", "ABSENT"} & set(found)


def test_a_stage_has_the_users_variables_and_no_setting() -> None:
    """Its agents read them, as when the stage runs alone."""
    found = stage_environment()

    assert found["AWS_SECRET_ACCESS_KEY"] == "user secret"
    assert [name for name in found if name.startswith("HEADRACE_")] in ([], ["HEADRACE_LOG_LEVEL"])


def test_what_a_stage_is_told_makes_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever their type, and nothing of what only has a default."""
    authorities = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authorities))
    given = Settings(kafka_ca_file=authorities, tier_weights={"gold": 2.5}, http_port=0, agents="mine")
    given = given.model_copy(update={"valkey_url": SecretStr("redis://:other@127.0.0.1:2")})
    told = json.loads(json.dumps(revealed(given)))
    for name in SECRETS:
        monkeypatch.delenv(name)

    assert Settings.model_validate(told) == given
    assert told["seal_secret"] == SECRETS["HEADRACE_SEAL_SECRET"]
    assert "max_running" not in told
