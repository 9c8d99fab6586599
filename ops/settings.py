"""What the environment says. No other module reads it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class Settings(BaseSettings):
    """Each field is ``HEADRACE_`` and its name in capitals; the model's may also come from ``OPENAI_*``."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True, extra="ignore", populate_by_name=True)

    kafka_bootstrap: str | None = None
    """``host:port``, comma-separated. None: the embedded broker, where a command starts one."""

    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: str | None = None
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    valkey_url: SecretStr | None = None

    model_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("HEADRACE_MODEL_BASE_URL", "OPENAI_BASE_URL")
    )
    model_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("HEADRACE_MODEL_API_KEY", "OPENAI_API_KEY")
    )
    model_name: str | None = None
    agents: str | None = None
    """Module of the user's agents, ``package.module`` or ``package.module:attribute``."""

    log: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    http_port: int | None = Field(default=None, ge=0, le=65_535)
    """Of a worker's health and metrics, or of what ``headrace dev`` shows. 0: a free one. None: a worker has none."""

    http_host: str = "127.0.0.1"
    """The address that a worker's port is bound to; probes of an orchestrator come from elsewhere."""

    metrics_tenants: str = ""
    """Tenants, comma-separated, that metrics name; all others are counted together."""

    tier_weights: dict[str, PositiveFloat] = Field(default_factory=dict)
    """How much more of a busy worker a tenant of each tier gets, as JSON: ``{"gold": 4, "trial": 0.5}``. A tier that is
    not named weighs 1."""

    otlp_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("HEADRACE_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    """Where spans go, by OTLP over HTTP: ``http://host:4318``. None: none are recorded."""

    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, validation_alias=AliasChoices("HEADRACE_TRACE_RATIO", "OTEL_TRACES_SAMPLER_ARG")
    )
    """Of the traces that enter the platform, those that are recorded; what goes wrong in the others is, too."""

    seal_secret: SecretStr | None = None
    """``kid:secret`` in base64, comma-separated; the first seals, all are believed. Required unless the broker is on
    this machine."""

    replication_factor: int = Field(default=0, ge=0, le=9)
    """Of the topics that are created. 0: three, or as many as there are brokers if the only one is on this machine."""

    maven_repository: str | None = None
    """Where Kafka's jars are fetched instead of the usual place."""

    transaction_deadline: float = Field(default=5.5, gt=0)
    drain: float = Field(default=10, ge=0)
    """Seconds that a shard moved by plan may finish its runs."""

    max_running: int = Field(default=500, ge=1, le=100_000)
    """Runs of one worker of an agent stage (or another behind the door) at the same time. One tenant alone gets eight
    ninths of them: somebody who comes later waits for nobody's run to end."""

    grace: float = Field(default=30, gt=0)
    """Seconds that a worker may take to stop."""

    suspect_memory: int = Field(default=2_048, gt=0)
    """MiB that a process may allocate which runs what is suspected of having killed a worker; up to four run at a time.
    Not kept on macOS, whose kernel does not enforce it."""

    @property
    def has_model(self) -> bool:
        """Whether somebody said where a model is."""
        return bool(self.model_base_url or self.model_api_key)

    @property
    def on_loopback(self) -> bool:
        """Whether every broker named is on this machine."""
        hosts = [server.rsplit(":", 1)[0].strip("[]") for server in (self.kafka_bootstrap or "").split(",") if server]
        return all(host in {"localhost", "::1"} or host.startswith("127.") for host in hosts)


def cache_folder() -> Path:
    """Where what can be fetched again is kept: the platform's cache folder for this user."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "headrace"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "headrace"


def maven_folder() -> Path:
    """A local Maven repository that may have the jars already."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a child process: this one's, with *changes*."""
    return {**os.environ, **changes}


def debugging() -> bool:
    """Whether errors are to be shown whole. Asked when settings could not be read, too."""
    return os.environ.get("HEADRACE_LOG_LEVEL", "").lower() == "debug"
