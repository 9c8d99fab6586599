"""Begin a command: read its settings, and keep library logs out of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.settings import Settings


def settings_with(agents: str | None) -> Settings:
    """Return the environment's settings; *agents* overrides theirs. Print a warning for each unknown variable."""
    from ops.settings import Settings

    warn_of_unknown_settings()
    return Settings.model_validate(_changes(agents))


def local_settings_with(agents: str | None, *, use_cluster: bool = False) -> Settings:
    """Return the settings of a local platform, which ignores those of a cluster and says so.

    With *use_cluster* it uses them instead. Raises NoBrokerError if they then name no broker.
    """
    from ops.cli import output
    from ops.errors import NoBrokerError
    from ops.settings import cluster_variables, local_settings

    if use_cluster:
        settings = settings_with(agents)
        if settings.kafka_bootstrap is None:
            raise NoBrokerError
        return settings
    if ignored := cluster_variables():
        output.note(f"headrace: ignored, since this command runs servers of its own: {', '.join(ignored)}")
    warn_of_unknown_settings()
    return local_settings(**_changes(agents))


def warn_of_unknown_settings() -> None:
    """Print a warning for each variable that looks like a setting and is none."""
    from ops.cli import output
    from ops.setting_values import unknown_settings

    for each in unknown_settings():
        output.note(f"headrace: {each}")


def begun() -> Settings:
    """Return the settings, and configure logging for a command: the lines of libraries are hidden."""
    import logging
    from functools import partial

    from streams.transport.lazy_log import configure_by

    settings = settings_with(None)
    if settings.log_level == "debug":
        _configure_logs(settings)
    else:
        logging.getLogger().setLevel(logging.CRITICAL + 1)
        configure_by(partial(_configure_logs, settings))
    return settings


def _configure_logs(settings: Settings) -> None:
    from ops import logs

    logs.configure(settings, command=True)


def begun_anywhere() -> Settings:
    """Return the settings as ``begun``. Without a broker there, they are those of the running ``headrace dev``.

    Raises NoBrokerError if none runs.
    """
    settings = begun()
    if settings.kafka_bootstrap is not None:
        return settings
    from pydantic import SecretStr

    from ops.dev_state import DevState, StalePlatform, running_platform
    from ops.errors import NoBrokerError
    from ops.settings import state_folder, without_cluster

    found = running_platform(state_folder())
    if isinstance(found, DevState):
        valkey = SecretStr(found.valkey) if found.valkey else None
        addresses = {"kafka_bootstrap": found.bootstrap, "valkey_url": valkey}
        return without_cluster(settings).model_copy(update=addresses)
    raise NoBrokerError(found.reason if isinstance(found, StalePlatform) else "")


def _changes(agents: str | None) -> dict[str, str]:
    return {} if agents is None else {"agents": agents}
