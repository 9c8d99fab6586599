"""Faults of a chaos run: a shuffled list from a seed, and the code that applies each fault."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from ops.embedded.cluster import EmbeddedCluster, Node
from ops.lab.chaos.coordinators import Coordinators
from ops.lab.chaos.fault_windows import SOON_MS, FaultWindows
from ops.lab.chaos.machines import Machines, possible
from ops.lab.chaos.proxy import EndTxn, Proxy
from ops.lab.chaos.workers import WorkerProcess, WorkerProcesses

SESSION_S = 6.0
"""The session timeout of the workers' groups, in seconds."""

WEIGHTS: Mapping[str, int] = {
    "kill": 10,
    "stop": 8,
    "term": 6,
    "scale": 4,
    "broker": 3,
    "late": 2,
    "cut": 2,
    "lost": 2,
    "slow": 1,
    "freeze": 2,
    "reset": 2,
    "latency": 1,
    "coordinator": 3,
    "rolling": 1,
    "disk": 1,
    "clock": 4,
    "valkey": 2,
}
"""The number of faults of each kind in five minutes."""

NETWORK = ("late", "cut", "lost", "slow", "freeze", "reset", "latency")
OF_SEVERAL = ("coordinator", "rolling")
"""Faults that need another broker to take over."""

ENTRY = ("auth", "ingress")
"""Stages with an admission controller: no request starts without them."""

AWAY_S = (1.0, 6.0)
"""Seconds that a killed broker is down, as a range."""

BREATH_S = 3.0
"""Seconds between two brokers of a rolling restart."""

log = structlog.get_logger()


def kinds(names: Sequence[str], brokers: int) -> list[str]:
    """Return the fault kinds for *names*; ``network`` and ``all`` are groups. Raise ValueError for unknown names."""
    groups = {"network": NETWORK, "all": tuple(WEIGHTS)}
    chosen = list(dict.fromkeys(kind for name in names for kind in groups.get(name, (name,))))
    if unknown := [kind for kind in chosen if kind not in WEIGHTS]:
        raise ValueError(f"no such fault: {', '.join(unknown)}")
    if "disk" in names and not possible(["disk"]):
        raise ValueError("disk: the files of a process can be limited on Linux only")
    return [kind for kind in possible(chosen) if brokers > 1 or kind not in OF_SEVERAL]


def deck(chosen: Sequence[str], seconds: float, chance: random.Random) -> list[str]:
    """Return the faults for *seconds* by weight, each kind at least once, shuffled."""
    cards = [kind for kind in chosen for _ in range(max(1, round(WEIGHTS[kind] * seconds / 300)))]
    chance.shuffle(cards)
    return cards


@dataclass(slots=True)
class Faults:
    """Apply a list of faults over a period of time, and undo all of them at its end."""

    cluster: EmbeddedCluster
    proxies: Sequence[Proxy]
    workers: WorkerProcesses
    coordinators: Coordinators
    machines: Machines
    fault_windows: FaultWindows
    random: random.Random
    dealt: Counter[str] = field(default_factory=Counter[str])
    _broker: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Limits broker faults to one broker at a time: of three brokers, two must be up."""

    _valkey: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def deal(self, cards: Sequence[str], seconds: float) -> None:
        """Apply all faults in *cards* within *seconds*, at uneven intervals, and return once all of them are undone."""
        pauses = [self.random.expovariate(1) for _ in cards]
        scale = seconds / (sum(pauses) or 1.0)
        async with asyncio.TaskGroup() as tasks:
            for pause, card in zip(pauses, cards, strict=True):
                await asyncio.sleep(pause * scale)
                log.info("fault", kind=card)
                tasks.create_task(self._hand(card)())
        for proxy in self.proxies:
            proxy.heal()

    def _hand(self, card: str) -> Callable[[], Coroutine[Any, Any, None]]:
        hands: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "kill": self._kill,
            "stop": self._stop,
            "term": self._term,
            "scale": self._scale,
            "broker": self._crash_any,
            "coordinator": self._crash_coordinator,
            "rolling": self._roll,
            "freeze": self._freeze,
            "reset": self._reset,
            "latency": self._latency,
            "disk": self._fill_disk,
            "clock": self._set_clock,
            "valkey": self._lose_valkey,
        }
        return hands.get(card) or (lambda: self._end_txn(cast("EndTxn", card)))

    # --- workers ------------------------------------------------------------------------------------------------------

    async def _kill(self) -> None:
        if worker := self.workers.choose():
            self.dealt["kill"] += 1
            self._hit(worker)
            await worker.child.kill()

    async def _stop(self) -> None:
        if worker := self.workers.choose():
            self.dealt["stop"] += 1
            seconds = self.random.uniform(2.0, 2 * SESSION_S)
            self._hit(worker, seconds)
            self.workers.stop(worker, seconds)

    def _hit(self, worker: WorkerProcess, seconds: float = 0.0) -> None:
        """Record the fault. A fault of an admission controller's worker also excuses stalls of all other workers."""
        self.fault_windows.hit(worker.child.pid, seconds, everybody=worker.stage in ENTRY)

    async def _term(self) -> None:
        if worker := self.workers.choose():
            self.dealt["term"] += 1
            self.workers.drain(worker)

    async def _scale(self) -> None:
        self.dealt["scale"] += 1
        self.workers.scale()

    # --- brokers ------------------------------------------------------------------------------------------------------

    async def _crash_any(self) -> None:
        async with self._broker:
            await self._crash(self.random.choice(self.cluster.nodes), "broker")

    async def _crash_coordinator(self) -> None:
        async with self._broker:  # chosen under the lock, because every crash moves coordinators
            node_id = await self.coordinators.some(self.random)
            if node_id is not None:
                await self._crash(self.cluster.node(node_id), "coordinator")

    async def _crash(self, node: Node, kind: str) -> None:
        self.dealt[kind] += 1
        with self.fault_windows.during():
            await node.kill()
            await asyncio.sleep(self.random.uniform(*AWAY_S))
            await node.start()
        await asyncio.sleep(BREATH_S)

    async def _fill_disk(self) -> None:
        async with self._broker:
            self.dealt["disk"] += 1
            with self.fault_windows.during():
                await self.machines.fill_disk(self.random.choice(self.cluster.nodes))
            await asyncio.sleep(BREATH_S)

    async def _roll(self) -> None:
        self.dealt["rolling"] += 1
        await self._restart_all()

    async def revive(self) -> None:
        """Restart the brokers, as an operator does when a group coordinator no longer answers.

        The cause is a Kafka defect (KAFKA-19862 and similar issues). After a crash, the broker's log reports that a
        coordinator's state machine is out of sync with the underlying log. That group is unusable until the restart.
        """
        self.dealt["revival"] += 1
        await self._restart_all()

    async def _restart_all(self) -> None:
        for node in self.cluster.nodes:
            async with self._broker:
                with self.fault_windows.during():
                    await node.stop()
                    await node.start()
                await asyncio.sleep(BREATH_S)

    # --- the network --------------------------------------------------------------------------------------------------

    async def _end_txn(self, fate: EndTxn) -> None:
        self.dealt[fate] += 1
        with self.fault_windows.during(SOON_MS):
            for proxy in self.proxies:
                proxy.end_txn = fate
            await asyncio.sleep(self.random.uniform(2.0, 6.0))
            for proxy in self.proxies:
                proxy.end_txn = None

    async def _freeze(self) -> None:
        self.dealt["freeze"] += 1
        proxy = self.random.choice(self.proxies)
        with self.fault_windows.during(SOON_MS):
            proxy.freeze()
            await asyncio.sleep(self.random.uniform(3.0, 15.0))
            proxy.thaw()

    async def _reset(self) -> None:
        self.dealt["reset"] += 1
        with self.fault_windows.during(SOON_MS):
            self.random.choice(self.proxies).reset()

    async def _latency(self) -> None:
        self.dealt["latency"] += 1
        proxy = self.random.choice(self.proxies)
        proxy.latency = self.random.uniform(0.005, 0.05)
        await asyncio.sleep(self.random.uniform(3.0, 10.0))
        proxy.latency = 0.0

    # --- machines -----------------------------------------------------------------------------------------------------

    async def _set_clock(self) -> None:
        self.dealt["clock"] += 1
        await self.machines.set_clock()

    async def _lose_valkey(self) -> None:
        async with self._valkey:
            self.dealt["valkey"] += 1
            await self.machines.lose_valkey()
