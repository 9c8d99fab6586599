"""The records of the registry: tenants, the layout of shards, the seal keys, and the seal secret of a local stack."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, RootModel, StringConstraints, model_validator

from schemas.budgets import Budgets
from schemas.guards import TenantGuards
from schemas.models import Base64, Payload

TENANT_ID = "[a-z0-9][a-z0-9-]{0,62}"
"""Pattern of a tenant id. Without dot and underscore, one tenant's topic prefix never covers another's."""

TenantId: TypeAlias = Annotated[str, StringConstraints(pattern=f"^{TENANT_ID}$")]
AgentName: TypeAlias = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
ToolName: TypeAlias = Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9_-]{1,64}$")]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=366 * 24 * 3_600)]
IdentityMode: TypeAlias = Literal["topic", "signed"]

REGISTRY_TYPE = "headrace.registry.v1"

LAYOUT_KEY = "_layout"
SEAL_KEY = "_seal"
SEAL_KEYS_KEY = "_seal_keys"


class DlqLimit(Payload):
    """Limit of dead letters. A tenant that reaches it is not admitted for a while. Durations are in seconds."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of dead letters in the requests that ended within the window. A smaller share does not stop admission."""

    count: Annotated[int, Field(gt=0)] = 100
    """Number of dead letters within the window. Fewer do not stop admission."""

    window: Seconds = 60
    cool_down: Seconds = 60
    """Duration of the stop, from the last dead letter on. New records wait meanwhile."""


class Limits(Payload):
    """The limits of one tenant. Durations are in seconds."""

    rpm: Annotated[int, Field(gt=0)] | None = None
    """Requests per minute of the tenant. None means no limit."""

    rpm_per_agent: Annotated[int, Field(gt=0)] | None = None
    rpm_per_user: Annotated[int, Field(gt=0)] | None = None
    """Requests per minute of each caller; ``rpm_per_agent`` limits each agent. None means no limit."""

    control_rpm: Annotated[int, Field(gt=0)] = 600
    """Control records per minute; each 4 KiB of a record count like one more. Records above the rate wait."""

    concurrency: Annotated[int, Field(gt=0)] = 64
    """Requests that may be admitted and not closed at one time."""

    default_deadline: Seconds = 300
    max_deadline: Seconds = 3_600
    """The longest deadline. Both deadlines count from the broker's append time."""

    max_wait: Seconds = 24 * 3_600
    """Longest wait of a request in its topic before it is refused; less than half of the topic's retention."""

    dlq: DlqLimit | None = DlqLimit()
    """Limit of dead letters. None means no limit."""


class Tenant(Payload):
    """One tenant. Agents that are not listed are forbidden."""

    kind: Literal["tenant"] = "tenant"
    id: TenantId
    name: str = ""
    tier: Annotated[str, StringConstraints(pattern="^[a-z0-9-]{1,32}$")] = "standard"
    identity: IdentityMode = "topic"
    agents: tuple[AgentName, ...] = ()
    tools: dict[AgentName, tuple[ToolName, ...]] = Field(default_factory=dict)
    """Tools that each agent may use for this tenant. An agent that is not listed may use all of its own."""

    accepts_taint_from: dict[ToolName, tuple[str, ...]] = Field(default_factory=dict)
    """For a tool, the sources of untrusted content that may influence its calls: ``tool:NAME``, ``memory:NAME``.

    ``*`` accepts every source, so that any text which the run reads may make the call. A delegate is ``ask_AGENT``."""

    guards: TenantGuards = TenantGuards()
    budgets: Budgets = Budgets()
    limits: Limits = Limits()
    reply_topics: tuple[str, ...] = ()
    """Topics that ``reply_to`` may name in addition to the tenant's results topic."""

    interactive: bool = False
    """True if the tenant has topics for events and control."""

    partitions: Annotated[int, Field(gt=0, le=256)] = 1
    """Partitions of the tenant's request topic; fixed once the topic exists. Further ones of the topic are served."""

    state: Literal["active", "removed"] = "active"
    """``removed``: new requests are refused, and admitted ones end as usual. Topics and their data remain."""


Shards: TypeAlias = Annotated[int, Field(gt=0, le=1_024)]
JourneyName: TypeAlias = Literal["split", "compact"]


class LayoutMove(Payload):
    """The next layout. Until it opens, no worker runs the stages named by ``closing``."""

    shards: Shards
    journey: JourneyName
    closing: Literal["entry", "all"] = "all"
    """``entry`` stops only the ingress stage, so that the other stages finish all admitted requests."""


class Layout(Payload):
    """The division of data among shards. Workers of different layouts never serve one stage together."""

    kind: Literal["layout"] = "layout"
    version: Annotated[int, Field(gt=0)] = 1
    shards: Shards = 24
    hash: Literal["crc32"] = "crc32"
    journey: JourneyName = "split"
    next: LayoutMove | None = None

    def following(self) -> Layout:
        """Return the layout that opens after the move. Raise ValueError if no move is planned."""
        if self.next is None:
            message = "the layout is not being moved"
            raise ValueError(message)
        return Layout(version=self.version + 1, shards=self.next.shards, hash=self.hash, journey=self.next.journey)


class SealSecret(Payload):
    """The seal secret of a stack without an operator to set one. Only a loopback broker may hold it."""

    kind: Literal["seal"] = "seal"
    kid: str
    secret: Base64


class SealKeys(Payload):
    """The seal keys of the cluster. A worker starts only if it has each of them with the same fingerprint."""

    kind: Literal["seal_keys"] = "seal_keys"
    fingerprints: dict[str, str]
    """Key id to the fingerprint of its secret: an HMAC of the cluster's id, which does not reveal the secret."""

    retired: tuple[str, ...] = ()
    """Ids of former keys, which never return to the list."""


class RegistryRecord(RootModel[Annotated[Tenant | Layout | SealSecret | SealKeys, Field(discriminator="kind")]]):
    """Any record of the registry. Its key is the tenant's id, or a name that no tenant can have."""

    @property
    def key(self) -> str:
        """Return the key of the record."""
        match self.root:
            case Tenant(id=tenant):
                return tenant
            case Layout():
                return LAYOUT_KEY
            case SealSecret():
                return SEAL_KEY
            case SealKeys():
                return SEAL_KEYS_KEY

    @model_validator(mode="after")
    def _deadlines_agree(self) -> RegistryRecord:
        if isinstance(self.root, Tenant) and self.root.limits.default_deadline > self.root.limits.max_deadline:
            message = "the default deadline is longer than the longest allowed"
            raise ValueError(message)
        return self
