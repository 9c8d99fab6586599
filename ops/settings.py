"""The settings from the environment. No other module reads it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ops.addresses import brokers_of, is_loopback
from ops.setting_types import (
    DAY_S,
    Brokers,
    CaFile,
    GuardsFile,
    Host,
    HttpUrl,
    LogErrors,
    LogFormat,
    LogLevel,
    Mechanism,
    ModelClient,
    Password,
    PricesFile,
    Protocol,
    SealSecrets,
    Switch,
    Text,
    Token,
    TokenRates,
    ValkeyUrl,
    Weights,
)

PREFIX = "HEADRACE_"
CLUSTER = (
    "kafka_bootstrap",
    "kafka_security_protocol",
    "kafka_sasl_mechanism",
    "kafka_username",
    "kafka_password",
    "kafka_ca_file",
    "valkey_url",
    "valkey_replicas",
    "seal_secret",
    "replication_factor",
)
"""Settings of a cluster. A local platform has its own, and ignores them (``local_settings``)."""

LOG_LEVEL = f"{PREFIX}LOG_LEVEL"
SYSTEM = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED"),
        *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONHASHSEED", "PYTHONWARNINGS", "VIRTUAL_ENV"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "M2_REPO"),
        LOG_LEVEL,
    }
)
"""The variables that every child process inherits: how to find programs, libraries and folders, and no secret."""


class Settings(BaseSettings):
    """The settings: ``HEADRACE_`` and a field's name in capitals; some may also come from a standard variable.

    A variable that is set and empty counts as not set. ``make docs`` writes docs/reference/settings.md from the fields.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    kafka_bootstrap: Brokers | None = None
    """Brokers of the cluster. An IPv6 address is written in brackets."""

    kafka_security_protocol: Protocol = "PLAINTEXT"
    """Protocol of the connection to Kafka."""

    kafka_sasl_mechanism: Mechanism = "PLAIN"
    """Mechanism of the login at Kafka, if the protocol has SASL."""

    kafka_username: Text | None = None
    """User of the login at Kafka. Required if the protocol has SASL."""

    kafka_password: Password | None = None
    """Password of the login at Kafka. Required if the protocol has SASL."""

    kafka_ca_file: CaFile | None = None
    """Certificates of the authorities that signed the brokers' certificates. Not set: those that the system trusts."""

    valkey_url: ValkeyUrl | None = None
    """Address of Valkey or Redis, with an append-only file. Agent workers need it if an agent has tools, handoffs or
    memory, if a tenant has budgets, and for `HEADRACE_PROVIDER_LIMITS`."""

    valkey_replicas: int = Field(default=0, ge=0, le=9)
    """Replicas of Valkey that must have the start of a tool on their disks before the tool starts. 0: a failover to a
    replica that lags may lose it."""

    model_base_url: HttpUrl | None = Field(
        default=None, validation_alias=AliasChoices("HEADRACE_MODEL_BASE_URL", "OPENAI_BASE_URL")
    )
    """Address of an OpenAI-compatible model, up to and including `/v1`. Not set: OpenAI's, if there is an API key."""

    model_api_key: Token | None = Field(
        default=None, validation_alias=AliasChoices("HEADRACE_MODEL_API_KEY", "OPENAI_API_KEY")
    )
    """API key of the model."""

    model_name: Text | None = None
    """The provider's name for the model. Not set: `gpt-4o-mini`."""

    model_client: ModelClient = "openai"
    """Client of the model. `openai` is the OpenAI SDK. `thin` speaks the same HTTP without it: a call costs about a
    quarter of the CPU, and a worker starts without importing the SDK."""

    prices: PricesFile | None = None
    """TOML file with prices of models in USD for a million tokens, in the form of `consumers/agent/models/prices.toml`.
    Its entries replace the shipped list prices of the same name. A model without a price costs 0 and is logged once."""

    guards: GuardsFile | None = None
    """JSON file with guard settings for all tenants, in the form of `guards` in a tenant's record. A tenant's record
    changes single fields of them. Not set: the default guards, as docs/reference/guards.md has them."""

    provider_limits: Annotated[TokenRates, NoDecode] = Field(default_factory=dict[str, int])
    """Tokens a minute of all tenants together, by the provider's name of the model; `*` is each model that is not
    named. A call above it waits. Not set: no such limit."""

    reserved_output_tokens: int = Field(default=4_096, ge=1, le=1_000_000)
    """Output tokens that are reserved for a model call without a maximum, as far as its budgets and rates leave them.
    The call may write more, which is then charged."""

    agents: Text | None = None
    """Module of your agents, `package.module` or `package.module:attribute`. The option `--agents` overrides it."""

    log: LogFormat = "json"
    """Format of the log lines on standard error."""

    log_errors: LogErrors = "places"
    """Content of logged exceptions. `places`: their types and lines of code. `text`: their messages too, although they
    may quote a prompt. `headrace dev` logs `text`."""

    log_level: LogLevel = "info"
    """Lowest level of the log lines. `debug` also shows where a command failed."""

    http_port: int | None = Field(default=None, ge=0, le=65_535)
    """Port of a worker's probes and metrics; 0 takes a free one. Not set: a worker has none. With `--count N`, the
    processes take this port and the N - 1 after it. For `headrace dev` it is the port of its page, by default 8765, or
    a free one if that is taken."""

    http_host: Host = "127.0.0.1"
    """Address that a worker's port is bound to: `0.0.0.0` for probes from other hosts. `headrace dev` binds only
    `127.0.0.1`."""

    metrics_tenants: Text = ""
    """Tenants, comma-separated, that metrics name; all others are counted together."""

    tier_weights: Annotated[Weights, NoDecode] = Field(default_factory=dict[str, float])
    """Relative share of a busy worker for a tenant of each tier. A tier without a weight has 1."""

    otlp_endpoint: HttpUrl | None = Field(
        default=None, validation_alias=AliasChoices("HEADRACE_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    """Collector for spans, by OTLP over HTTP. Not set: no spans are recorded."""

    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, validation_alias=AliasChoices("HEADRACE_TRACE_RATIO", "OTEL_TRACES_SAMPLER_ARG")
    )
    """Fraction of the traces entering the platform that are recorded. Errors in the other traces are recorded too."""

    capture_content: Switch = False
    """True: spans of agents also hold messages, tool arguments and results, cut to 2,048 characters each. Warning: the
    collector then receives what users wrote, personal data included, unredacted."""

    seal_secret: SealSecrets | None = None
    """Secrets that seal the records between stages: `KID:BASE64` of 16 bytes or more, comma-separated. The first one
    seals, all are accepted. The same for all stages. Required unless the broker is on this machine."""

    replication_factor: int = Field(default=0, ge=0, le=9)
    """Copies of each partition of new topics. 0: three, or one for each broker of a cluster with fewer."""

    maven_repository: HttpUrl | None = None
    """Maven repository from which Kafka's jars are fetched for `headrace dev`. Not set: the usual one."""

    transaction_deadline: float = Field(default=5.5, gt=0, le=900)
    """Seconds for one Kafka transaction of a shard. A longer one is aborted, and the shard reopens."""

    drain: float = Field(default=10, ge=0, le=DAY_S)
    """Seconds for a shard that is moved by plan to finish its runs."""

    max_running: int = Field(default=500, ge=1, le=100_000)
    """Maximum concurrent runs of one worker of a stage after admission, such as an agent stage. One tenant alone gets
    at most eight ninths of them, so that a tenant that comes later need not wait for a run to end."""

    threads: int = Field(default=64, ge=1, le=10_000)
    """Threads of one worker for agents and tools that are plain functions. One that outlives its deadline keeps its
    thread until it returns."""

    grace: float = Field(default=30, gt=0, le=DAY_S)
    """Seconds for a worker to stop."""

    suspect_memory: int = Field(default=2_048, gt=0, le=1_048_576)
    """MiB that a process may allocate while it runs suspects of having killed a worker. At most four such processes run
    at a time. Not enforced on macOS, whose kernel does not support it."""

    suspect_environment: Text = ""
    """Variables, comma-separated, that a process of suspects inherits: those that your agents read. It inherits no
    others, except the system's, such as `PATH` and `HOME`."""

    session_ttl: float = Field(default=30 * DAY_S, ge=1, le=366 * DAY_S)
    """Seconds that an agent's memory of a session is kept after its last run. Not set: 30 days."""

    @property
    def has_model(self) -> bool:
        """True if the base URL or the API key of a model is set."""
        return bool(self.model_base_url or self.model_api_key)

    @property
    def on_loopback(self) -> bool:
        """True if every broker named is on this machine."""
        return all(is_loopback(broker.host) for broker in brokers_of(self.kafka_bootstrap or "localhost"))


def local_settings(**changes: object) -> Settings:
    """Return the settings without those of ``CLUSTER``, invalid ones included, and with *changes*."""
    return Settings.model_validate({name: Settings.model_fields[name].default for name in CLUSTER} | changes)


def without_cluster(settings: Settings) -> Settings:
    """Return *settings* with the defaults of ``CLUSTER``."""
    return settings.model_copy(update={name: Settings.model_fields[name].default for name in CLUSTER})


def cluster_variables() -> list[str]:
    """Return the environment's variables that a local platform ignores, known or not, sorted."""
    return sorted(name for name, value in os.environ.items() if value and _leads_to_a_cluster(name.upper()))


def _leads_to_a_cluster(name: str) -> bool:
    return name.startswith(f"{PREFIX}KAFKA_") or name.removeprefix(PREFIX).lower() in CLUSTER


def setting_variables() -> dict[str, str]:
    """Return the environment's variables that are not empty and may be settings."""
    known = (PREFIX, "OPENAI_", "OTEL_")
    return {name: value for name, value in os.environ.items() if value and name.upper().startswith(known)}


def cache_folder() -> Path:
    """Return the folder for files that can be fetched again: the operating system's cache folder for this user."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "headrace"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "headrace"


def state_folder() -> Path:
    """Return the folder for what outlives a command but not a reinstallation: the system's for this user."""
    if chosen := os.environ.get("XDG_STATE_HOME"):
        return Path(chosen) / "headrace"
    home = Path.home()
    return home / ("Library/Application Support" if sys.platform == "darwin" else ".local/state") / "headrace"


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
