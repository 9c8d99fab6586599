"""Guard plugins: the facts of a guard that the platform needs before it makes one for a tenant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from consumers.guard.content import Content
from consumers.guard.guards import Guard, Policy
from consumers.guard.stream import StreamStage
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload

Config = TypeVar("Config", bound=Payload)

ALL_STAGES: frozenset[GuardStage] = frozenset({"input", "tool", "output"})


@dataclass(frozen=True, slots=True)
class GuardPlugin(Generic[Config]):
    """A kind of guard. An entry point of the group ``headrace.guards`` names a value of this type."""

    name: str
    """Its name in tenant records, verdicts, results and metrics."""

    config: type[Config]
    """The model of its configuration. Each field has a default; an unknown field is an error."""

    make: Callable[[Config, GuardStage, TextWork], Guard]
    """Return the guard of one stage. It is called once for each configuration, and may raise ValueError."""

    rewrites: bool = False
    """True if it may change the text. Such guards run one after another, before the others."""

    stages: frozenset[GuardStage] = ALL_STAGES
    """The stages at which it can be used."""

    reads_views: bool = False
    """True if it reads ``Content.views``. The pipeline then decodes long texts outside the event loop beforehand."""

    stream: Callable[[Config, Content, str], Sequence[StreamStage]] | None = None
    """Returns the stages that guard one stream: none if nothing is to be done for this content, whose text is empty.
    The last argument is text before the stream, such as ``password=`` before a member of a tool's arguments.
    Without this function, an answer under this guard is not streamed."""

    policy: Policy = field(default_factory=Policy)
    """The default time limit and failure handling."""


class NoConfig(Payload):
    """The configuration of a guard without settings."""


def plugin_of(name: str, guard: Guard) -> GuardPlugin[NoConfig]:
    """Return the plugin of a function that is a guard: a detector without settings, for every stage."""
    return GuardPlugin(name, NoConfig, lambda _config, _stage, _work: guard, reads_views=True)
