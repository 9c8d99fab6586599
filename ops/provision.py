"""Create what a stage needs to start: topics, layout, seal and first offsets. A second run changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ops import registry_writer
from ops.background import background
from ops.errors import LayoutDiffersError
from ops.provisioned_offsets import first_offsets
from ops.registry_writer import Entry
from ops.seal_keys import VARIABLE, added, kept_secret, listed, retired, secrets_of
from ops.seal_retirement import check_retirement
from ops.settings import Settings
from ops.topology import COPIES, Change, Topology, copies_of, differences, few_copies
from schemas.seals import Seals
from schemas.tenants import Layout, LayoutMove, SealKeys, SealSecret
from schemas.topics import TENANTS
from streams.journey import INGRESS_GROUP, JourneyName
from streams.registry.tenants import TenantRegistry
from streams.transport.admin import Admin, NewTopicSpec, TopicDescription
from streams.transport.connection import Connection

NAME = "headrace-provision"
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Wish:
    """The layout that the operator asks for. None: as it is, or the default of a new cluster."""

    shards: int | None = None
    journey: JourneyName | None = None

    def layout(self, existing: Layout | None) -> Layout:
        """Return the wanted layout. Raises LayoutDiffersError if there is another one, or one that is moving."""
        if existing is not None and existing.next is not None:
            raise LayoutDiffersError(_underway(existing.next))
        changes = {name: value for name in ("shards", "journey") if (value := getattr(self, name)) is not None}
        wanted = Layout.model_validate((existing or Layout()).model_dump() | changes)
        if existing is not None and existing != wanted:
            raise LayoutDiffersError(_differs(existing, wanted))
        return wanted


def _differs(existing: Layout, wanted: Layout) -> str:
    return (
        f"the cluster has {existing.shards} shards and the journey {existing.journey}, not {wanted.shards} and"
        f" {wanted.journey}: leave --shards and --journey out to keep them, or move the cluster by"
        f" `headrace topics relayout --shards {wanted.shards} --journey {wanted.journey}`"
    )


def _underway(move: LayoutMove) -> str:
    return (
        f"the layout is being moved to {move.shards} shards and the journey {move.journey}:"
        " finish that first, by `headrace topics relayout`"
    )


@dataclass(frozen=True, slots=True)
class Provision:
    """The setup of one cluster."""

    connection: Connection
    settings: Settings
    wish: Wish = Wish()
    retire: tuple[str, ...] = ()
    """Ids of the seal keys to remove from the cluster's list."""
    tell: Callable[[str], None] = lambda _: None
    """Called with a line for the operator if topics get fewer than three copies."""

    async def plan(self) -> list[Change]:
        """Return the changes that ``apply`` would make, and the differences that it leaves alone. Writes nothing."""
        async with await Admin.open(self.connection, name=NAME) as admin:
            exists = await admin.describe([TENANTS.name])
            registry = await registry_writer.load(self.connection) if exists else TenantRegistry()
            cluster = await admin.cluster_id()
            entries = list(self._founding(registry))
            entries.extend(self._keys(registry, cluster, entries))
            wanted = self._specs(registry, await self._copies(admin))
            topics = differences(wanted, await _found(admin, wanted))
            absent = frozenset(change.what for change in topics if change.action == "create")
            offsets = await first_offsets(self.connection, admin, self.wish.layout(registry.layout), absent)
        return [*topics, *written_all(entries), *self._lacking(registry, entries), *offsets.changes()]

    async def apply(self) -> list[Change]:
        """Create everything that is missing. Return the changes made, and the differences left alone.

        The layout is written first: if two operators set up a cluster at once, the slower one learns of it. Raises
        LayoutDiffersError, SealKeyError, SealKeyInUseError, OffsetMissingError.
        """
        async with await Admin.open(self.connection, name=NAME) as admin, background(_woken(admin)):
            copies = await self._copies(admin)
            made = await self._make(admin, [Topology(Layout(), copies).spec(TENANTS, TENANTS.name, 1)])
            entries, cluster = list[Entry](), await admin.cluster_id()
            if self.retire:
                await check_retirement(self.connection, self.retire)

            def decide(registry: TenantRegistry) -> list[Entry]:
                entries[:] = self._founding(registry)
                entries.extend(self._keys(registry, cluster, entries))
                return entries

            registry = await registry_writer.change(self.connection, decide)
            made += await self._make(admin, self._specs(registry, copies))
            offsets = await first_offsets(self.connection, admin, self.wish.layout(registry.layout), frozenset())
            await offsets.commit(self.connection)
        lacking = [] if self.retire else self._lacking(registry, entries)
        return [*dict.fromkeys(made), *written_all(entries), *lacking, *offsets.changes()]

    async def _make(self, admin: Admin, wanted: list[NewTopicSpec]) -> list[Change]:
        """Create the topics of *wanted* that are missing. Return them, and the differences of the others."""
        changes = differences(wanted, await _found(admin, wanted))
        missing = {change.what for change in changes if change.action == "create"}
        await admin.create_topics([spec for spec in wanted if spec.name in missing])
        return changes

    def _founding(self, registry: TenantRegistry) -> Iterator[Entry]:
        """Yield the registry records that a new cluster lacks.

        Only a broker on this machine may hold a seal's secret.
        """
        layout = self.wish.layout(registry.layout)
        if registry.layout is None:
            yield layout
        if registry.secret is None and self.settings.seal_secret is None and self.settings.on_loopback:
            yield SealSecret(kid=secrets.token_hex(4), secret=secrets.token_bytes(SECRET_BYTES))

    async def _copies(self, admin: Admin) -> int:
        """Return the replication factor of new topics. Tell the operator if a lost disk would lose records."""
        brokers = await admin.registered_brokers()
        copies = copies_of(self.settings, brokers)
        if copies < COPIES:
            self.tell(few_copies(self.settings, copies, brokers))
        return copies

    def _keys(self, registry: TenantRegistry, cluster: str, founding: Sequence[Entry]) -> list[SealKeys]:
        """Return the list of seal keys if it changes. Raises SealKeyError."""
        if not (secrets_here := self._secrets(registry, founding)):
            return []
        own = Seals(secrets_here, cluster).fingerprints()
        keys = retired(self.retire, own, registry) if self.retire else added(own, registry)
        return [keys] if keys is not None else []

    def _secrets(self, registry: TenantRegistry, founding: Sequence[Entry] = ()) -> dict[str, bytes]:
        new = next((entry for entry in founding if isinstance(entry, SealSecret)), None)
        return secrets_of(self.settings, new or kept_secret(registry))

    def _lacking(self, registry: TenantRegistry, founding: Sequence[Entry] = ()) -> Iterator[Change]:
        """Yield a difference for each seal key that is missing here: this process may lack it, but no stage may."""
        own = self._secrets(registry, founding)
        if not own and not listed(registry):
            yield Change("differs", "seal keys", f"there are none, and no stage starts without: set {VARIABLE}")
        for kid in sorted(listed(registry).keys() - own.keys()):
            yield Change("differs", f"seal key {kid}", f"listed, and {VARIABLE} lacks it here")

    def _specs(self, registry: TenantRegistry, copies: int) -> list[NewTopicSpec]:
        topology = Topology(self.wish.layout(registry.layout), copies)
        return [*topology.platform(), *(spec for tenant in registry.tenants.values() for spec in topology.of(tenant))]


async def _woken(admin: Admin) -> None:
    """Make a new broker create its own topic for groups, which the first request triggers, while ours are created."""
    await admin.committed(INGRESS_GROUP, ())


async def _found(admin: Admin, wanted: list[NewTopicSpec]) -> dict[str, TopicDescription]:
    return await admin.describe([spec.name for spec in wanted])


def written_all(entries: Sequence[Entry]) -> Iterator[Change]:
    """Yield the change of each record; a made-up key has a random id, which says nothing."""
    made_up = {entry.kid for entry in entries if isinstance(entry, SealSecret)}
    for entry in entries:
        only_made_up = isinstance(entry, SealKeys) and entry.fingerprints.keys() <= made_up
        yield Change("write", f"the registry's {entry.kind}", "made up") if only_made_up else written(entry)


def written(entry: Entry) -> Change:
    """Return the change that shows the operator this record of the registry."""
    match entry:
        case Layout():
            detail = f"shards={entry.shards} journey={entry.journey}"
        case SealKeys():
            detail = ", ".join(sorted(entry.fingerprints))
        case _:
            detail = "made up"
    return Change("write", f"the registry's {entry.kind}", detail)
