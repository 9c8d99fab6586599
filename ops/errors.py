"""The errors of commands and processes: each is one line that names the next step, and an exit code.

::

    OperationError                  1
    ├── UsageError                  2   the command or its settings are invalid
    │   ├── NoBrokerError               the settings name no Kafka broker
    │   ├── NameTakenError              a user's package has the name of one of Headrace's
    │   ├── NoSuchModuleError           the agents' module cannot be found
    │   ├── RoomNamedError              the agents' module is one of Headrace's own packages
    │   ├── AgentsError                 the user's agents cannot be loaded
    │   ├── SealKeyError                HEADRACE_SEAL_SECRET differs from the seal keys of the cluster
    │   ├── InvalidError                an argument or a setting has an invalid value
    │   └── ConfigurationError          the settings contradict each other, or the cluster
    ├── SealKeyInUseError               records sealed with a key to retire are not done yet
    ├── LayoutDiffersError              the cluster has another layout than the one wanted
    ├── LayoutMovingError               the layout is moving to another one, or has moved
    ├── OneCopyError                    a topic that no message may be lost of has one copy, on several brokers
    ├── NoLayoutError                   the cluster has not been set up
    ├── GroupBusyError                  workers of the layout to be replaced are still running
    ├── UndoneError                     records remain that the new journey does not read
    ├── OffsetMissingError              a group has no offset in a partition that holds records
    ├── ChangedMeanwhileError           other writers kept changing the registry at the same time
    ├── UnknownTenantError              no tenant of this name is registered
    ├── NotInteractiveError             the tenant has no control topic
    ├── TenantExistsError               a tenant of this name is registered with other settings
    ├── BudgetStoreError                the counts of budgets cannot be read
    ├── NotServedError                  no worker serves the tenant
    ├── NotDrainedError                 admitted requests of a removed tenant still run
    ├── NoSealError                     the seal's secret is missing, and the broker is not on this machine
    ├── NoResultError                   the result did not arrive in time
    ├── DemoFailedError                 a request of the demonstration did not end as expected
    ├── ChaosError                      a promise was broken under faults
    ├── StoppedError                    the process was told to stop before it was ready
    └── StackError                      the local stack could not be started or did not stay up
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from schemas.tenants import Layout


class OperationError(Exception):
    """The root of these errors. ``str(error)`` is one line for the person at the terminal."""

    exit_code: ClassVar[int] = 1


class UsageError(OperationError):
    """The command or its settings are invalid."""

    exit_code = 2


class NoBrokerError(UsageError):
    """The settings name no Kafka broker."""

    def __init__(self, found: str = "") -> None:
        stale = f" ({found})" if found else ""
        super().__init__(f"HEADRACE_KAFKA_BOOTSTRAP is not set: start `headrace dev`, or name your cluster{stale}")


class NameTakenError(UsageError):
    """A user's package has the name of one of Headrace's, so Python would import only one of the two."""

    def __init__(self, room: str, path: Path) -> None:
        super().__init__(
            f"{path} has the name of Headrace's own package `{room}`: rename yours, or run from another folder"
        )


class NoSuchModuleError(UsageError):
    """The agents' module cannot be found."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"no module `{module}` here or installed: run from the folder that holds it, or correct --agents"
        )


class RoomNamedError(UsageError):
    """The agents' module is one of Headrace's own packages."""

    def __init__(self, module: str) -> None:
        super().__init__(f"`{module}` is a package of Headrace itself: give your module another name")


class AgentsError(UsageError):
    """The user's agents cannot be loaded. The message begins with the file and the line in the user's code."""


class InvalidError(UsageError):
    """An argument or a setting has an invalid value."""


class ConfigurationError(UsageError):
    """The settings contradict each other, or the cluster."""


class SealKeyError(UsageError):
    """HEADRACE_SEAL_SECRET differs from the seal keys of the cluster."""


class SealKeyInUseError(OperationError):
    """Records that are sealed with a key to retire are not done yet."""

    def __init__(self, kid: str, topic: str, records: int) -> None:
        super().__init__(
            f"{topic} has {records} records that are sealed with {kid} and still needed: see that every stage has"
            " another key first in HEADRACE_SEAL_SECRET, wait until these records are done, and run this again"
        )


class LayoutDiffersError(OperationError):
    """The cluster has another layout than the one wanted."""


class LayoutMovingError(OperationError):
    """The layout is moving to another one, or has moved. *layout* is None if its record is gone."""

    def __init__(self, layout: Layout | None) -> None:
        if layout is None:
            super().__init__("the cluster's layout is gone: run `headrace topics apply`, then start this stage again")
        elif layout.next is None:
            super().__init__(f"the cluster has moved to layout {layout.version}: start this stage again")
        else:
            super().__init__(
                f"the layout is being moved to {layout.next.shards} shards and the journey {layout.next.journey}:"
                " this stage starts again once `headrace topics relayout` has finished"
            )


class OneCopyError(OperationError):
    """Topics whose loss would lose results have one copy, although the cluster has brokers for three."""

    def __init__(self, topics: Sequence[str], brokers: int) -> None:
        super().__init__(
            f"{', '.join(topics)}: one copy on {brokers} brokers, so a broker's failure could lose results; give each"
            " three copies (kafka-reassign-partitions.sh), then start this stage again"
        )


class GroupBusyError(OperationError):
    """Workers of the layout to be replaced are still running."""

    def __init__(self, group: str, members: Sequence[str], seconds: float) -> None:
        super().__init__(
            f"workers are still in the group {group} after {seconds:g} s: {', '.join(members)};"
            " stop them, then run `headrace topics relayout` again"
        )


class UndoneError(OperationError):
    """Records remain that the new journey does not read."""

    def __init__(self, topic: str, records: int, seconds: float) -> None:
        super().__init__(
            f"{topic} has {records} records that the new journey does not read, still after {seconds:g} s: see that the"
            " stage that reads it runs, then run `headrace topics relayout` again"
        )


class NoLayoutError(OperationError):
    """The cluster has not been set up: it has no layout."""

    def __init__(self) -> None:
        super().__init__("the cluster has no layout: run `headrace topics apply` first")


class OffsetMissingError(OperationError):
    """A group has no offset in a partition that holds records: starting anew would run some of them again."""

    def __init__(self, group: str, partition: str) -> None:
        super().__init__(
            f"group {group} has no offset of {partition}, which holds records: find out what has been done,"
            " then set the offset by hand (kafka-consumer-groups.sh --reset-offsets)"
        )


class ChangedMeanwhileError(OperationError):
    """Other writers kept changing the registry at the same time."""

    def __init__(self) -> None:
        super().__init__(
            "another command changed the registry at the same time: look at it (`headrace tenants list`) and try again"
        )


class UnknownTenantError(OperationError):
    """No tenant of this name is registered."""

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"no tenant is called {tenant}: `headrace tenants list` shows who is,"
            f" `headrace tenants add {tenant}` adds it"
        )


class BudgetStoreError(OperationError):
    """The counts of budgets cannot be read."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"the counts of budgets cannot be read: {detail}:"
            " is Valkey running, and is HEADRACE_VALKEY_URL its address?"
        )


class NotInteractiveError(OperationError):
    """The tenant has no control topic."""

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"the tenant {tenant} takes no control records: only one that was added with --interactive does;"
            " `headrace tenants list` shows who there is"
        )


class TenantExistsError(OperationError):
    """A tenant of this name is registered with other settings."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"tenant {tenant} exists with other settings: `headrace tenants show {tenant}` shows them")


class NotServedError(OperationError):
    """No worker serves the tenant."""

    def __init__(self, tenant: str, seconds: float) -> None:
        super().__init__(
            f"tenant {tenant} is registered and not served after {seconds:.0f} s:"
            " does `headrace run auth` (or ingress) run against this cluster? (--no-wait does not wait for it)"
        )


class NotDrainedError(OperationError):
    """Admitted requests of a removed tenant still run."""

    def __init__(self, tenant: str, running: int, seconds: float) -> None:
        super().__init__(
            f"tenant {tenant} is removed, and {running} of its requests still run after {seconds:g} s:"
            f" run `headrace tenants remove {tenant}` again to wait for them, or `headrace tenants repair {tenant}`"
            " if no stage runs them"
        )


class NoSealError(OperationError):
    """The seal's secret is missing, and the broker is not on this machine."""

    def __init__(self) -> None:
        super().__init__(
            "HEADRACE_SEAL_SECRET is not set, and only a broker on this machine may hold a made-up one:"
            " set it to KID:BASE64 for this command and every stage"
        )


class NoResultError(OperationError):
    """The result did not arrive in time."""

    def __init__(self, tenant: str, missing: int, first: str, seconds: float) -> None:
        more = f" and {missing - 1} more" if missing > 1 else ""
        super().__init__(
            f"no result for request {first}{more} within {seconds:.0f} s:"
            f" `headrace results --tenant {tenant} --follow` shows it when it comes"
        )


class DemoFailedError(OperationError):
    """A request of the demonstration did not end as expected."""

    def __init__(self, wrong: int, folder: Path) -> None:
        super().__init__(f"{wrong} of the requests did not end as expected: look into the logs in {folder}")


class ChaosError(OperationError):
    """Under faults, a request was lost, repeated, reordered or not finished."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(f"seed {seed} broke a promise, see the table; the logs of every process are in {folder}")


class StoppedError(OperationError):
    """The process was told to stop before it was ready."""


class StackError(OperationError):
    """The local stack could not be started or did not stay up."""
