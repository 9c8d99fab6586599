"""The settings from the environment. No other module reads it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]

PREFIX = "HEADRACE_"
LOG_LEVEL = f"{PREFIX}LOG_LEVEL"
SYSTEM = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED"),
        *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONHASHSEED", "PYTHONWARNINGS", "VIRTUAL_ENV"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CACHE_HOME", "M2_REPO"),
        LOG_LEVEL,
    }
)
"""The variables that every child process inherits: how to find programs, libraries and folders, and no secret."""


class Settings(BaseSettings):
    """The settings: ``HEADRACE_`` and a field's name in capitals; the model's may also come from ``OPENAI_*``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True)

    kafka_bootstrap: str | None = None
    """``host:port``, comma-separated. None: the embedded broker, if the command starts one."""

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
    """Port of a worker's health and metrics, or of the page of ``headrace dev``. 0: a free one. None: a worker has
    none."""

    http_host: str = "127.0.0.1"
    """Address that a worker's port is bound to. Probes of an orchestrator come from other hosts."""

    metrics_tenants: str = ""
    """Tenants, comma-separated, that metrics name; all others are counted together."""

    tier_weights: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Relative share of a busy worker for a tenant of each tier, as JSON: ``{"gold": 4, "trial": 0.5}``. A tier without
    a weight has 1."""

    otlp_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("HEADRACE_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    """Collector for spans, by OTLP over HTTP: ``http://host:4318``. None: no spans are recorded."""

    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, validation_alias=AliasChoices("HEADRACE_TRACE_RATIO", "OTEL_TRACES_SAMPLER_ARG")
    )
    """Fraction of the traces entering the platform that are recorded. Errors in the other traces are recorded too."""

    seal_secret: SecretStr | None = None
    """``kid:secret`` with the secret in base64, comma-separated. The first one seals, all are accepted. Required unless
    the broker is on this machine."""

    replication_factor: int = Field(default=0, ge=0, le=9)
    """Copies of each partition of new topics. 0: three, or one for each broker of a cluster with fewer."""

    maven_repository: str | None = None
    """Maven repository from which Kafka's jars are fetched, instead of the usual one."""

    transaction_deadline: float = Field(default=5.5, gt=0)
    drain: float = Field(default=10, ge=0)
    """Seconds for a shard that is moved by plan to finish its runs."""

    max_running: int = Field(default=500, ge=1, le=100_000)
    """Maximum concurrent runs of one worker of a stage after admission, such as an agent stage. One tenant alone gets
    at most eight ninths of them, so that a tenant that comes later need not wait for a run to end."""

    grace: float = Field(default=30, gt=0)
    """Seconds for a worker to stop."""

    suspect_memory: int = Field(default=2_048, gt=0)
    """MiB that a process may allocate while it runs suspects of having killed a worker. At most four such processes run
    at a time. Not enforced on macOS, whose kernel does not support it."""

    suspect_environment: str = ""
    """Variables, comma-separated, that a process of suspects inherits: those that your agents read. It inherits no
    others, except the system's, such as ``PATH`` and ``HOME``."""

    @property
    def has_model(self) -> bool:
        """True if the base URL or the API key of a model is set."""
        return bool(self.model_base_url or self.model_api_key)

    @property
    def on_loopback(self) -> bool:
        """True if every broker named is on this machine."""
        hosts = [server.rsplit(":", 1)[0].strip("[]") for server in (self.kafka_bootstrap or "").split(",") if server]
        return all(host in {"localhost", "::1"} or host.startswith("127.") for host in hosts)


def cache_folder() -> Path:
    """Return the folder for files that can be fetched again: the operating system's cache folder for this user."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "headrace"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "headrace"


def maven_folder() -> Path:
    """Return the local Maven repository, which may have the jars already."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def child_environment(*names: str, **changes: str) -> dict[str, str]:
    """Return the environment for a child process: the system's variables, those in *names*, and *changes*.

    Settings may be secret, so a child never inherits one by its name: give it in *changes*, or over a socket.
    """
    named = {name for name in names if not name.startswith(PREFIX)}
    inherited = {name: value for name, value in os.environ.items() if _is_system(name) or name in named}
    return {**inherited, **changes}


def stage_environment() -> dict[str, str]:
    """Return the environment for a stage's process, whose agents read the user's variables.

    It has no ``HEADRACE_*`` but the log level: the stage gets its settings over a socket (``revealed``).
    """
    return {name: value for name, value in os.environ.items() if name == LOG_LEVEL or not name.startswith(PREFIX)}


def revealed(settings: Settings) -> dict[str, Any]:
    """Return the fields that were set, as JSON values, secrets included: for a stage's process, over a socket."""
    given = settings.model_dump(exclude_unset=True)
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value


def _is_system(name: str) -> bool:
    return name in SYSTEM or name.startswith("LC_")


def debugging() -> bool:
    """Return True if errors are shown in full. It works even when the settings cannot be read."""
    return os.environ.get(LOG_LEVEL, "").lower() == "debug"
