"""What a command begins with: the settings, and logs that do not talk over its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.settings import Settings


def settings_with(agents: str | None) -> Settings:
    """The environment's settings; *agents* overrides what it says."""
    from ops.settings import Settings

    return Settings.model_validate({} if agents is None else {"agents": agents})


def begun() -> Settings:
    """The settings, with the logs of a command: libraries are not heard."""
    from ops import logs

    settings = settings_with(None)
    logs.configure(settings, command=True)
    return settings
