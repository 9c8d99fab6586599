"""A tenant as the platform knows it, and the layout that says which shard is whose: the records of the registry."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, RootModel, StringConstraints, model_validator

from schemas.models import Base64, Payload

TENANT_ID = "[a-z0-9][a-z0-9-]{0,62}"
"""No dot and no underscore: the prefix of one tenant's topics can never cover another's."""

TenantId: TypeAlias = Annotated[str, StringConstraints(pattern=f"^{TENANT_ID}$")]
AgentName: TypeAlias = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=366 * 24 * 3_600)]
IdentityMode: TypeAlias = Literal["topic", "signed"]

REGISTRY_TYPE = "headrace.registry.v1"

LAYOUT_KEY = "_layout"
SEAL_KEY = "_seal"


class DlqLimit(Payload):
    """Dead letters of a tenant that shut its door for a while. Durations are in seconds."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of what has ended within the window: with a smaller part of dead letters, the door stays open."""

    count: Annotated[int, Field(gt=0)] = 100
    """With fewer dead letters within the window, the door stays open."""

    window: Seconds = 60
    cool_down: Seconds = 60
    """How long the door stays shut, from the last of them on; what has come meanwhile waits."""


class Limits(Payload):
    """What one tenant may take. Durations are in seconds."""

    rpm: Annotated[int, Field(gt=0)] | None = None
    """Requests per minute; None: as many as come."""

    rpm_per_agent: Annotated[int, Field(gt=0)] | None = None
    rpm_per_user: Annotated[int, Field(gt=0)] | None = None
    """Of each agent and each caller of the tenant."""

    concurrency: Annotated[int, Field(gt=0)] = 64
    """Requests beyond the door at one time."""

    default_deadline: Seconds = 300
    max_deadline: Seconds = 3_600
    """Counted from the broker's append time."""

    max_wait: Seconds = 24 * 3_600
    """How long a request may wait in its own topic before it is refused; less than half of the topic's retention."""

    dlq: DlqLimit | None = DlqLimit()
    """None: it may make as many dead letters as it likes."""


class Tenant(Payload):
    """One tenant. Agents that are not listed are forbidden."""

    kind: Literal["tenant"] = "tenant"
    id: TenantId
    name: str = ""
    tier: Annotated[str, StringConstraints(pattern="^[a-z0-9-]{1,32}$")] = "standard"
    identity: IdentityMode = "topic"
    agents: tuple[AgentName, ...] = ()
    limits: Limits = Limits()
    reply_topics: tuple[str, ...] = ()
    """Topics that ``reply_to`` may name beside the tenant's own results."""

    interactive: bool = False
    """Whether the tenant has topics for events and control."""

    partitions: Annotated[int, Field(gt=0, le=256)] = 1
    """Of its request topic; fixed once it exists."""


Shards: TypeAlias = Annotated[int, Field(gt=0, le=1_024)]
JourneyName: TypeAlias = Literal["split", "compact"]


class Move(Payload):
    """The layout that is to follow. Until it is open, the stages in ``closing`` run nowhere."""

    shards: Shards
    journey: JourneyName
    closing: Literal["entry", "all"] = "all"
    """``entry``: only the door is closed, so that the others finish what it has let in."""


class Layout(Payload):
    """How data is divided among shards. Workers of different layouts never serve one stage together."""

    kind: Literal["layout"] = "layout"
    version: Annotated[int, Field(gt=0)] = 1
    shards: Shards = 24
    hash: Literal["crc32"] = "crc32"
    journey: JourneyName = "split"
    next: Move | None = None

    def following(self) -> Layout:
        """The layout that is open once the move has been made. ValueError if there is none to make."""
        if self.next is None:
            message = "the layout is not being moved"
            raise ValueError(message)
        return Layout(version=self.version + 1, shards=self.next.shards, hash=self.hash, journey=self.next.journey)


class SealSecret(Payload):
    """The seal's secret of a stack that has no operator to give it one. Only a loopback broker may hold it."""

    kind: Literal["seal"] = "seal"
    kid: str
    secret: Base64


class RegistryRecord(RootModel[Annotated[Tenant | Layout | SealSecret, Field(discriminator="kind")]]):
    """Any record of the registry; its key is the tenant's id, or a name that no tenant can have."""

    @property
    def key(self) -> str:
        """The key it is kept under."""
        match self.root:
            case Tenant(id=tenant):
                return tenant
            case Layout():
                return LAYOUT_KEY
            case SealSecret():
                return SEAL_KEY

    @model_validator(mode="after")
    def _deadlines_agree(self) -> RegistryRecord:
        if isinstance(self.root, Tenant) and self.root.limits.default_deadline > self.root.limits.max_deadline:
            message = "the default deadline is longer than the longest allowed"
            raise ValueError(message)
        return self
