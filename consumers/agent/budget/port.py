"""The port of budgets: it reserves what one model call may cost, and replaces that by the usage.

Amounts are whole tokens and whole picodollars. Days and months are those of UTC by the clock of the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, Protocol, TypeAlias

from schemas.keys import owner_digest

SpenderKind: TypeAlias = Literal["tenant", "user", "agent", "model"]
Period: TypeAlias = Literal["minute", "day", "month"]
Measure: TypeAlias = Literal["tokens", "usd"]


class Spender(NamedTuple):
    """One that spends from an account: the tenant as a whole, one of its users or agents; for the platform, a model."""

    kind: SpenderKind
    name: str = ""
    """The agent's or the model's name, the user's digest; empty for the tenant."""


TENANT = Spender("tenant")


def user_spender(issuer: str, subject: str) -> Spender:
    """Return the spender of a caller. Its name is a digest: any text is a valid subject."""
    return Spender("user", owner_digest(issuer, subject)[:32])


class CallLimits(NamedTuple):
    """The limits of one spender. None means no limit. Money is in picodollars."""

    spender: Spender
    minute_tokens: int | None = None
    day_tokens: int | None = None
    month_tokens: int | None = None
    day_pico: int | None = None
    month_pico: int | None = None

    @property
    def periodic(self) -> bool:
        """True if a limit of a day or a month is set."""
        return any(each is not None for each in self[2:])


class LimitName(NamedTuple):
    """One limit, as errors, log lines and metrics name it."""

    kind: SpenderKind
    period: Period
    measure: Measure

    def __str__(self) -> str:
        """Return the name in one word, such as ``user_day_tokens``."""
        return "_".join(self)


class CallSize(NamedTuple):
    """The most that one model call can use. Output is reserved as far as the limits leave it, down to the least."""

    prompt_tokens: int
    output_tokens: int
    least_output_tokens: int
    """Equal to ``output_tokens`` if the request states a maximum."""

    prompt_pico: int = 0
    output_pico: int = 0
    """The price of one output token."""

    @property
    def least_tokens(self) -> int:
        """The tokens without which the call is refused."""
        return self.prompt_tokens + self.least_output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One model call that asks for its reservation."""

    account: str
    """The tenant's id, or ``PLATFORM``."""

    call: str
    """The run, its attempt, the step and the number of the try: a resumed run repeats it, and replaces its own."""

    limits: tuple[CallLimits, ...]
    """Narrow spenders first: a wait for a user's limit holds no place in the queue of the tenant."""

    size: CallSize
    owner: str = ""
    """A random name of this question. Only its owner may change a reservation."""

    soft: float = 1.0
    """The share of a daily or monthly limit at which an alert is raised."""

    ticket: int = 0
    """The place in the queue that an earlier ``MustWait`` has given."""

    call_ms: int = 300_000
    """The longest time that the call can take once it is sent, in milliseconds."""


class SoftLimit(NamedTuple):
    """A soft limit that was reached. It is reported once for each spender, limit and period."""

    spender: Spender
    limit: LimitName


class Granted(NamedTuple):
    """The call has its reservation."""

    account: str
    call: str
    owner: str
    day: date
    """The day for which the call counts."""

    tokens: int
    pico: int
    generation: str = ""
    """The state of the store: another one has forgotten the reservation."""

    limits: tuple[CallLimits, ...] = ()
    soft: float = 1.0
    alerts: tuple[SoftLimit, ...] = ()
    call_ms: int = 300_000


class MustWait(NamedTuple):
    """The call may be asked for again after ``seconds``."""

    limit: LimitName
    seconds: float
    ticket: int


class BudgetSpent(NamedTuple):
    """The budget of a day or month does not have the call, or the call is larger than the limit itself."""

    limit: LimitName
    too_large: bool
    """True if the call would never fit."""

    limit_amount: int
    """The limit, in tokens or picodollars."""

    amount: int
    """The least that the call needs, in tokens or picodollars."""

    alerts: tuple[SoftLimit, ...] = ()


class Unloaded(NamedTuple):
    """The account's usage is not known: it must be loaded from the ledger."""

    account: str


Answer: TypeAlias = Granted | MustWait | BudgetSpent | Unloaded


class Charge(NamedTuple):
    """The usage of one call."""

    tokens: int = 0
    pico: int = 0


class PeriodTotal(NamedTuple):
    """The usage of one spender in one day or month."""

    spender: Spender
    period: Literal["day", "month"]
    start: date
    """The day, or the first day of the month."""

    tokens: int
    pico: int


class BudgetUse(NamedTuple):
    """The usage of one spender now, by the store's clock. ``held`` is reserved by calls that have not ended."""

    spender: Spender
    day: date
    day_tokens: int
    day_pico: int
    month_tokens: int
    month_pico: int
    held_tokens: int
    held_pico: int


class BudgetStore(Protocol):
    """The counts of all accounts. Every method raises BudgetUnavailableError if the store does not answer."""

    async def reserve(self, claim: Claim) -> Answer:
        """Reserve the claim from all of its spenders, or from none. A reservation is ``held`` until the call is sent.

        It replaces the held reservation of the same call. One that was ``called`` is charged in full before.
        """
        ...

    async def called(self, granted: Granted) -> bool:
        """State that the call is about to be sent: from now on it is charged in full unless it is settled.

        Return False if the reservation is gone: it expired, or the store has lost it. Then send nothing.
        """
        ...

    async def settle(self, granted: Granted, charge: Charge) -> tuple[SoftLimit, ...]:
        """Replace the reservation by *charge*, and return the soft limits that it reaches. A repeat changes nothing."""
        ...

    async def needs_load(self, account: str) -> bool:
        """Return True if the account's usage is unknown: reservations with a limit of a day or month are refused."""
        ...

    async def load(self, account: str, totals: Sequence[PeriodTotal]) -> str:
        """Add the totals of the ledger to the account, once, and return its generation; empty if it has one already.

        The totals are those of finished runs. State the current day and month of every spender that has any.
        """
        ...

    async def add_late(self, account: str, generation: str, totals: Sequence[PeriodTotal]) -> bool:
        """Add usage of runs that an earlier generation counted, and that have ended since the load.

        Return False if *generation* is over.
        """
        ...

    async def forget(self, account: str) -> None:
        """Require that the account is loaded again, from nothing: the ledger has calls that were not counted here."""
        ...

    async def read(self, account: str, spenders: Sequence[Spender]) -> tuple[BudgetUse, ...]:
        """Return the usage of the spenders."""
        ...
