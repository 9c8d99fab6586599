"""Settings as the operator sees them: values, origins, and what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from ops.failures import exit_code, sentence
from ops.setting_values import SettingValue, setting_values, unknown_settings
from ops.settings import (
    CLUSTER,
    Settings,
    cluster_variables,
    local_settings,
    setting_variables,
    without_cluster,
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in setting_variables():
        monkeypatch.delenv(name)


def _said(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert exit_code(caught.value) == 2
    return sentence(caught.value)


def _found(settings: Settings, **options: str) -> dict[str, SettingValue]:
    return {each.name: each for each in setting_values(settings, options)}


SECRETS = {
    "HEADRACE_SEAL_SECRET": "k1:gehéim",
    "HEADRACE_MODEL_API_KEY": "sk-gehéim",
    "OPENAI_API_KEY": "sk-geheim\x1b[31m",
    "HEADRACE_VALKEY_URL": "valkey-geheim:6379",
    "HEADRACE_KAFKA_PASSWORD": "geheim\udcff",
}


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("HEADRACE_KAFKA_BOOTSTRAP", "localhost:abc", "`abc` is no port from 1 to 65535: write HOST:PORT"),
        ("HEADRACE_KAFKA_BOOTSTRAP", "[::1", "write [::1]:9092"),
        ("HEADRACE_KAFKA_CA_FILE", "/nowhere/ca.pem", "(No such file or directory): name a PEM file that exists"),
        ("HEADRACE_KAFKA_CA_FILE", "/", "(Is a directory): name a PEM file that exists"),
        ("HEADRACE_KAFKA_CA_FILE", __file__, "no certificate: name a PEM file"),
        ("HEADRACE_KAFKA_SASL_MECHANISM", "GSSAPI", "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ("HEADRACE_KAFKA_SASL_MECHANISM", "OAUTHBEARER", "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ("HEADRACE_KAFKA_SECURITY_PROTOCOL", "TLS", "write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ("HEADRACE_KAFKA_USERNAME", "a\udcff", "it is not UTF-8"),
        ("HEADRACE_TIER_WEIGHTS", "gold=4", 'write {"gold": 4, "trial": 0.5}'),
        ("HEADRACE_TIER_WEIGHTS", "[]", 'write {"gold": 4, "trial": 0.5}'),
        ("HEADRACE_TIER_WEIGHTS", '{"gold": "much"}', "write JSON with numbers above 0"),
        ("HEADRACE_TIER_WEIGHTS", '{"gold": 0}', "write JSON with numbers above 0"),
        ("HEADRACE_TIER_WEIGHTS", '{"gold": Infinity}', "write JSON with numbers above 0"),
        ("HEADRACE_TIER_WEIGHTS", "[" * 5_000, 'write {"gold": 4, "trial": 0.5}'),
        ("HEADRACE_GRACE", "inf", "write a number above 0, at most 86400"),
        ("HEADRACE_GRACE", "1e300", "write a number above 0, at most 86400"),
        ("HEADRACE_DRAIN", "nan", "write a number from 0 to 86400"),
        ("HEADRACE_DRAIN", "-1", "write a number from 0 to 86400"),
        ("HEADRACE_TRANSACTION_DEADLINE", "-inf", "write a number above 0, at most 900"),
        ("HEADRACE_TRACE_RATIO", "nan", "write a number from 0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG", "half", "write a number from 0 to 1"),
        ("HEADRACE_HTTP_PORT", "99999999", "write a whole number from 0 to 65535"),
        ("HEADRACE_HTTP_PORT", "tcp://10.0.0.1:80", "write a whole number from 0 to 65535"),
        ("HEADRACE_HTTP_HOST", "http://0.0.0.0", "write an IP address or a host name"),
        ("HEADRACE_HTTP_HOST", "127.0.0.1:9100", "write an IP address or a host name"),
        ("HEADRACE_SUSPECT_MEMORY", "9" * 40, "write a whole number above 0, at most 1048576"),
        ("HEADRACE_LOG", "xml", "write json or console"),
        ("HEADRACE_MODEL_BASE_URL", "localhost:8080/v1", "write http:// or https://HOST:PORT"),
        ("OPENAI_BASE_URL", "http://[::1", "write http:// or https://HOST:PORT"),
        ("HEADRACE_OTLP_ENDPOINT", "collector:4318", "write http:// or https://HOST:PORT"),
    ],
)
def test_a_wrong_value_is_one_line_with_variable_value_and_next_step(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
) -> None:
    """No class of ours or of a library is in it: the operator has never seen either."""
    said = _said(monkeypatch, name, value)

    shown = value.replace("\udcff", "\\udcff")
    assert said.startswith(f"{name} is `{shown[:120]}{'...' if len(shown) > 120 else ''}`: "), said
    assert advice in said
    assert "Error" not in said
    assert "Settings" not in said
    assert "\n" not in said


@pytest.mark.parametrize(("name", "value"), SECRETS.items())
def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Not in part either: logs and terminals are read by more people than secrets may be."""
    said = _said(monkeypatch, name, value)

    assert said.startswith(f"{name} is `********`: ")
    assert "geh" not in said
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "geh" not in str(caught.value)  # as a traceback shows it


@pytest.mark.parametrize("value", ["kafka://me:geheim@h:1", "me:geheim@h:1", "http://me:geheim@h/?key=geheim"])
@pytest.mark.parametrize("name", ["HEADRACE_KAFKA_BOOTSTRAP", "HEADRACE_HTTP_HOST"])
def test_a_password_in_a_wrong_address_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """It is masked in the value and in what is said of it."""
    assert "geheim" not in _said(monkeypatch, name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "geheim" not in str(caught.value)


def test_control_characters_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value must not move the terminal's cursor."""
    said = _said(monkeypatch, "HEADRACE_LOG_LEVEL", "\x1b]0;x\x07\u202e")

    assert said.isprintable()
    assert "\\x1b]0;x\\x07\\u202e" in said


def test_what_means_the_same_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Case, white space around a key, and variables that are empty because a compose file sets them all."""
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    for name, value in {
        "HEADRACE_LOG_LEVEL": "WARNING",
        "HEADRACE_KAFKA_SASL_MECHANISM": "scram-sha-512",
        "HEADRACE_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "HEADRACE_KAFKA_PASSWORD": " pässword ",
        "HEADRACE_KAFKA_CA_FILE": str(ca),
        "HEADRACE_MODEL_API_KEY": "sk-1\n",
        "HEADRACE_HTTP_PORT": "",
        "HEADRACE_MODEL_BASE_URL": "",
        "OPENAI_BASE_URL": "https://h/v1",
    }.items():
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert (settings.log_level, settings.kafka_sasl_mechanism) == ("warning", "SCRAM-SHA-512")
    assert settings.kafka_security_protocol == "SASL_SSL"
    assert (settings.http_port, settings.model_base_url) == (None, "https://h/v1")
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == " pässword "
    assert settings.model_api_key is not None
    assert settings.model_api_key.get_secret_value() == "sk-1"


def test_each_value_names_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default, the very variable, or the option."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-geheim")
    monkeypatch.setenv("headrace_grace", "7")
    monkeypatch.setenv("HEADRACE_AGENTS", "theirs")
    monkeypatch.setenv("HEADRACE_VALKEY_URL", "redis://:geheim@h:6379/0")
    monkeypatch.setenv("HEADRACE_MODEL_BASE_URL", "https://me:geheim@h/v1?key=geheim")

    found = _found(Settings.model_validate({"agents": "mine"}), agents="--agents")

    assert len(found) == len(Settings.model_fields)
    assert found["HEADRACE_MODEL_API_KEY"] == SettingValue("HEADRACE_MODEL_API_KEY", "********", "OPENAI_API_KEY")
    assert found["HEADRACE_GRACE"] == SettingValue("HEADRACE_GRACE", 7.0, "headrace_grace")
    assert found["HEADRACE_AGENTS"] == SettingValue("HEADRACE_AGENTS", "mine", "--agents")
    assert found["HEADRACE_DRAIN"] == SettingValue("HEADRACE_DRAIN", 10, "default")
    assert found["HEADRACE_VALKEY_URL"].value == "redis://********@h:6379/0"
    assert found["HEADRACE_MODEL_BASE_URL"].value == "https://********@h/v1?********"
    assert "geheim" not in str(found)


def test_the_first_name_of_a_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The origin names the variable that counts, not one that is there too."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://theirs/v1")
    monkeypatch.setenv("HEADRACE_MODEL_BASE_URL", "https://ours/v1")

    found = _found(Settings())["HEADRACE_MODEL_BASE_URL"]

    assert (found.value, found.origin) == ("https://ours/v1", "HEADRACE_MODEL_BASE_URL")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("HEADRACE_KAFKA_BOOTSTRAPS", "HEADRACE_KAFKA_BOOTSTRAP"),
        ("HEADRACE_HTP_PORT", "HEADRACE_HTTP_PORT"),
        ("HEADRACE_SEAL_SECRETS", "HEADRACE_SEAL_SECRET"),
        ("HEADRACE_TEIR_WEIGHTS", "HEADRACE_TIER_WEIGHTS"),
        ("headrace_loglevel", "HEADRACE_LOG_LEVEL"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(monkeypatch: pytest.MonkeyPatch, name: str, nearest: str) -> None:
    """A misspelled limit is no limit, and its value may be a secret."""
    monkeypatch.setenv(name, "geheim")

    (found,) = unknown_settings()

    assert str(found).startswith(f"{name} is no setting and is ignored: {nearest} is the nearest")
    assert "geheim" not in str(found)


def test_names_that_kubernetes_sets_are_not_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service called `headrace-agent` puts seven variables into each container."""
    for name, value in {
        "HEADRACE_AGENT_SERVICE_HOST": "10.0.0.1",
        "HEADRACE_AGENT_SERVICE_PORT": "80",
        "HEADRACE_AGENT_SERVICE_PORT_METRICS": "80",
        "HEADRACE_AGENT_PORT": "tcp://10.0.0.1:80",
        "HEADRACE_AGENT_PORT_80_TCP": "tcp://10.0.0.1:80",
        "HEADRACE_AGENT_PORT_80_TCP_ADDR": "10.0.0.1",
        "HEADRACE_AGENT_PORT_80_TCP_PROTO": "tcp",
        "HEADRACE_GRACE": "5",
    }.items():
        monkeypatch.setenv(name, value)

    assert unknown_settings() == []


CLUSTER_VARIABLES = {
    "HEADRACE_KAFKA_BOOTSTRAP": "[::1",
    "HEADRACE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "HEADRACE_KAFKA_USERNAME": "me",
    "HEADRACE_KAFKA_PASSWORD": "geheim",
    "HEADRACE_KAFKA_CA_FILE": "/nowhere",
    "HEADRACE_KAFKA_LATER": "x",
    "HEADRACE_VALKEY_URL": "nonsense",
    "HEADRACE_SEAL_SECRET": "k1:geheim",
    "HEADRACE_REPLICATION_FACTOR": "many",
}


def test_a_local_platform_ignores_every_setting_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are wrong, too; and its children do not see them."""
    for name, value in {**CLUSTER_VARIABLES, "HEADRACE_GRACE": "7"}.items():
        monkeypatch.setenv(name, value)

    settings = local_settings(agents="mine")

    assert (settings.kafka_bootstrap, settings.kafka_username, settings.kafka_ca_file) == (None, None, None)
    assert (settings.kafka_password, settings.seal_secret, settings.valkey_url) == (None, None, None)
    assert (settings.kafka_security_protocol, settings.grace, settings.agents) == ("PLAINTEXT", 7.0, "mine")
    assert cluster_variables() == sorted(CLUSTER_VARIABLES)


def test_every_setting_that_leads_to_kafka_is_one_of_a_cluster() -> None:
    """A new one must not lead a demonstration to production."""
    assert {name for name in Settings.model_fields if name.startswith("kafka_")} <= set(CLUSTER)
    given = Settings(kafka_bootstrap="h:1", kafka_security_protocol="SSL", grace=7)
    assert without_cluster(given) == Settings(grace=7)
