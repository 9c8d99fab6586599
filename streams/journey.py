"""The stages of a request, as data.

Types fix both ends: a journey that skips auth, or ends early, does not type-check.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

from pydantic import BaseModel

from consumers.context import StepContext
from schemas import tenants, topics
from schemas.requests import Request
from schemas.results import Result
from schemas.stage_records import Authorized, Screened
from schemas.topics import Topic

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)

Step: TypeAlias = Callable[[In, StepContext], Awaitable[Out]]
JourneyName: TypeAlias = tenants.JourneyName
StageName: TypeAlias = Literal["auth", "guard", "ingress", "agent"]

INGRESS_GROUP = "headrace.auth"
"""The consumer group of the stage that reads requests, in every journey. Two groups on one request topic would answer
every request twice."""

INGRESS_STAGES = ("auth", "ingress")
"""Stages that read requests."""

RETRIES = "retries"
RETRIES_GROUP = "headrace.retries"


def group_of(stage: str, version: int = 1) -> str:
    """Return the consumer group of a stage under a layout of this version."""
    return versioned(INGRESS_GROUP if stage in INGRESS_STAGES else f"headrace.{stage}", version)


def versioned(group: str, version: int) -> str:
    """Return the group name under a layout: plain for version 1, with the version appended for every later one."""
    return group if version == 1 else f"{group}.{version}"


def ingress_group(layout: tenants.Layout | None) -> str:
    """Return the group that reads requests in a cluster with this layout."""
    return versioned(INGRESS_GROUP, 1 if layout is None else layout.version)


@dataclass(frozen=True, slots=True)
class Stage(Generic[In, Out]):
    """One deployed step between two topics, in one consumer group."""

    name: StageName
    reads: Topic[In]
    run: Step[In, Out]
    writes: Topic[Out]

    @property
    def group(self) -> str:
        """The stage's consumer group."""
        return group_of(self.name)


class Journey:
    """The stages from a request to its result."""

    __slots__ = ("stages",)

    @overload
    def __init__(self, a: Stage[Request, A], b: Stage[A, Result], /) -> None: ...
    @overload
    def __init__(self, a: Stage[Request, A], b: Stage[A, B], c: Stage[B, Result], /) -> None: ...
    def __init__(self, *stages: Stage[Any, Any]) -> None:
        self.stages = stages

    def stage(self, name: str) -> Stage[Any, Any] | None:
        """Return the stage of this name, or None."""
        return next((stage for stage in self.stages if stage.name == name), None)


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of which both journeys consist."""

    authorize: Step[Request, Authorized]
    screen: Step[Authorized, Screened]
    execute: Step[Screened, Result]


def split(steps: Steps) -> Journey:
    """Return the journey of three stages, the default in production."""
    return Journey(
        Stage("auth", reads=topics.REQUESTS, run=steps.authorize, writes=topics.AUTHORIZED),
        Stage("guard", reads=topics.AUTHORIZED, run=steps.screen, writes=topics.SCREENED),
        Stage("agent", reads=topics.SCREENED, run=steps.execute, writes=topics.RESULTS),
    )


def compact(steps: Steps) -> Journey:
    """Return the journey of two stages, with auth and guard in one: the default of ``headrace dev``."""
    return Journey(
        Stage("ingress", reads=topics.REQUESTS, run=fused(steps.authorize, steps.screen), writes=topics.SCREENED),
        Stage("agent", reads=topics.SCREENED, run=steps.execute, writes=topics.RESULTS),
    )


def fused(first: Step[In, A], second: Step[A, Out]) -> Step[In, Out]:
    """Return one step that runs two steps in sequence."""

    async def both(value: In, context: StepContext) -> Out:
        return await second(await first(value, context), context)

    return both


JOURNEYS: dict[JourneyName, Callable[[Steps], Journey]] = {"split": split, "compact": compact}

DEPLOYED: dict[JourneyName, tuple[str, ...]] = {
    "compact": ("ingress", "agent", RETRIES),
    "split": ("auth", "guard", "agent", RETRIES),
}
"""The stages of each journey in order, with the retry mover."""

INNER_GROUPS: dict[str, tuple[Topic[Any], ...]] = {
    "headrace.guard": (topics.AUTHORIZED,),
    "headrace.agent": (topics.SCREENED,),
    RETRIES_GROUP: tuple(topic for _, topic in topics.RETRY_TIERS),
}
"""Groups that read the platform's own topics. Provisioning commits their first offsets."""
