"""A clock that ticks, guards that are told what to say, and the values that a request to screen is made of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import strategies as st

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guards import Guard, GuardResult, GuardSpec, Policy
from consumers.guard.normalise import NORMALISE, Normalise
from consumers.guard.pipeline import Pipeline
from consumers.guard.text_tasks import TextWork
from consumers.guard.text_threads import text_thread
from schemas.admissions import AdmissionKey, Identity
from schemas.envelopes import Sizes, open_envelope
from schemas.records import Record
from schemas.requests import Request
from schemas.stage_records import Authorized
from schemas.tenants import Tenant

NOW_MS = 1_700_000_000_000
TENANT = Tenant(id="acme", agents=("assistant",))
CANARY = "zebra-4711-canary"


@dataclass
class TickingClock:
    """A quarter of a second passes each time somebody asks for the time."""

    seconds: float = 100.0

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        self.seconds += 0.25
        return self.seconds


@dataclass
class Told:
    """Says what it is told, and remembers what it was asked about."""

    says: GuardResult = field(default_factory=GuardResult)
    asked: list[Content] = field(default_factory=list)

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:
        self.asked.append(content)
        return self.says


async def late(content: Content, context: StepContext) -> GuardResult:
    """Waits for what never comes."""
    await asyncio.Event().wait()
    return GuardResult()


async def broken(content: Content, context: StepContext) -> GuardResult:
    """Fails, and quotes the content in doing so."""
    raise RuntimeError(content.text)


def spec(name: str, guard: Guard, policy: Policy | None = None, *, rewrites: bool = False) -> GuardSpec:
    """A guard in its place, under the default policy unless another is given."""
    return GuardSpec(name, guard, rewrites=rewrites, policy=policy or Policy())


def authorized(text: str) -> Authorized:
    """A request that may be made."""
    request = Request(agent="assistant", input=text)
    identity = Identity(tenant="acme", issuer="topic", subject="acme", source="/", id="r1")
    admission = AdmissionKey(key="acme|1", body="b", lane="acme|r1", request_id="r1", deadline_ms=NOW_MS + 1_000)
    return Authorized(
        request=request,
        identity=identity,
        run_id="run-1",
        admission=admission,
        origin=open_envelope(_RECORD, _SIZES).origin,
        reply_to="tenants.acme.results",
    )


def context() -> StepContext:
    """What the step gets beside it."""
    return StepContext(tenant=TENANT, envelope=open_envelope(_RECORD, _SIZES), clock=TickingClock())


_SIZES = Sizes(value=1 << 20, headers=1 << 16, header_count=64)
_RECORD = Record(
    topic="tenants.acme.requests",
    partition=0,
    offset=7,
    timestamp=NOW_MS,
    key=b"r1",
    value=b'{"agent":"assistant","input":"hello"}',
    headers=(("ce_id", b"r1"), ("ce_type", b"headrace.request.v1"), ("ce_specversion", b"1.0"), ("ce_source", b"/")),
)

_TELLING = (
    "\u200b\u200c\u200d\u200e\u202e\u2066\ufe0e\ufe0f\ufe00\U000e0100\U000e0149\u034f\u061c\ufeff\xad\u180b\u180e"
    "\u3164\uffa0\ud800\udfff\x00\x1b\n\U000e0001\U000e0041\U000e007f"
    "\u0301\u0315\u0316\u064e\u0651\u0338\u20e3\u3099\uff9e\u0344\u0f73\u093c\u094d\u09be\u09c7"
    "aé1#ا\ufed3\ufdfa\ufc5e\u0928\u0d15\u1820가\u1100\u1161\uff76\uff21™ⓂΩ\u2194❤👨👩🏽🏳🏴🇩🈁\U0001fae8"
    "%41QUJD=+/-_ "
)
_FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"

hostile = st.lists(
    st.one_of(
        st.sampled_from(_TELLING),
        st.just(_FLAG),
        st.characters(exclude_categories=()),
        st.tuples(st.sampled_from(_TELLING), st.integers(28, 70)).map(lambda run: run[0] * run[1]),
    ),
    max_size=30,
).map("".join)
"""Texts of the characters that the normaliser has rules for, and runs of them, and any other."""


def normaliser(work: TextWork = text_thread) -> Pipeline:
    """The pipeline of the normaliser alone."""
    normalise = GuardSpec(
        "normalise", Normalise(work), rewrites=True, policy=NORMALISE.policy, reads_views=NORMALISE.reads_views
    )
    return Pipeline(input=[normalise], work=work)
