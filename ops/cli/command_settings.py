"""Begin a command: read its settings, and keep library logs out of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.settings import Settings


def settings_with(agents: str | None) -> Settings:
    """Return the environment's settings; *agents* overrides theirs."""
    from ops.settings import Settings

    return Settings.model_validate({} if agents is None else {"agents": agents})


def begun() -> Settings:
    """Return the settings, and configure logging for a command: the lines of libraries are hidden."""
    from ops import logs

    settings = settings_with(None)
    logs.configure(settings, command=True)
    return settings
