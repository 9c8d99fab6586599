"""The guard settings of a tenant: which guards run at each stage, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints

from schemas.models import Payload

GuardName: TypeAlias = Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9_-]{1,64}$")]
GuardStage: TypeAlias = Literal["input", "tool", "output"]


class GuardSettings(Payload):
    """A tenant's changes to one guard at one stage. A field without a value stays as the platform has it."""

    enabled: bool = True
    """False: the guard does not run. A guard that is named here, and does not run by default, runs."""

    shadow: bool | None = None
    """True: the guard only reports."""

    failure: Literal["open", "closed"] | None = None
    """The consequence if the guard fails: ``open`` flags the content, ``closed`` does not pass it on."""

    timeout: Annotated[float, Field(gt=0, le=60)] | None = None
    """Seconds for one content."""

    config: dict[str, Any] = Field(default_factory=dict)
    """The guard's own settings; docs/reference/guards.md has the fields."""


class TenantGuards(Payload):
    """The guards of one tenant, by stage."""

    input: dict[GuardName, GuardSettings] = Field(default_factory=dict)
    tool: dict[GuardName, GuardSettings] = Field(default_factory=dict)
    output: dict[GuardName, GuardSettings] = Field(default_factory=dict)

    def at(self, stage: GuardStage) -> dict[GuardName, GuardSettings]:
        """Return the settings of one stage."""
        return {"input": self.input, "tool": self.tool, "output": self.output}[stage]
