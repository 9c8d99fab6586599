"""The entry stage: every record of a tenant's topic ends in exactly one outcome, and its job never raises."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Never, TypedDict, Unpack

import pytest

from consumers.admission import dead_letter_breaker as breaker_module
from consumers.admission import tenant_admission as tenant_admission_module
from consumers.admission.controller import AdmissionController
from consumers.auth.authorize import identify
from consumers.context import StepContext
from producers.admissions import admission_record
from schemas.admissions import AdmissionEvent, AdmissionKey, cancel_key, serving_key
from schemas.control import RunControl
from schemas.envelopes import open_envelope
from schemas.errors import BlockedError, ModelOverloadedError, UnwritableError
from schemas.records import HeaderList, Missing, Partition, ProducerRecord, Record
from schemas.requests import Request
from schemas.results import Result
from schemas.stage_records import Authorized, Screened
from schemas.tenants import DlqLimit, Limits, Tenant
from schemas.topics import (
    ADMISSIONS,
    CONTROL,
    DEAD_LETTER_LIMIT,
    DEAD_LETTERS,
    EDGE_RECORD_LIMIT,
    EDGE_VALUE_LIMIT,
    shard_of,
)
from streams.engine.admission_memory import AdmissionMemory
from streams.handler import Outputs, StageHandler
from streams.journey import JOURNEYS, Journey, JourneyName, Step
from streams.registry.tenants import TenantRegistry
from streams.stages.ingress import SIZES, IngressStage
from streams.stages.record_builder import FOREIGN_LIMIT
from tests.clock import settled
from tests.unit.streams.engine.shard_setup import (
    ACME,
    BODY,
    NOW,
    OTHER,
    REQUESTS,
    RESULTS,
    SEALS,
    SHARDS,
    FakeLog,
    FakeReader,
    StillClock,
    builder,
    header,
    on,
    registry,
    registry_record,
    request_record,
    screen,
    steps,
    the_result,
)

pytestmark = pytest.mark.anyio

SHARD = shard_of("acme", SHARDS)
SLOW = 30.0


class How(TypedDict, total=False):
    """What a test has otherwise than usual."""

    journey: JourneyName
    authorize: Step[Request, Authorized]
    screen: Step[Authorized, Screened]


class IngressSetup:
    """An entry stage with a registry of its own, and doors on an inbox that is empty."""

    def __init__(self, *tenants: Tenant, **how: Unpack[How]) -> None:
        self.clock = StillClock()
        self.registry: TenantRegistry = registry(*tenants)
        self.log = FakeLog()
        self.admission_memory = AdmissionMemory(
            FakeReader(self.log), SHARDS, self.clock, limit_of=self.registry.limit_of
        )
        own = steps(self.registry, authorize=how.get("authorize"), screen=how.get("screen", screen))
        made: Journey = JOURNEYS[how.get("journey", "split")](own)
        self.handler: StageHandler = IngressStage(
            made.stages[0], builder(self.clock), self.registry, self.admission_memory
        ).handler()

    async def open(self) -> IngressSetup:
        for shard in range(SHARDS):
            await self.admission_memory.load_memory(shard)
        return self

    @property
    def controller(self) -> AdmissionController:
        return self.admission_memory.of("acme")

    async def run(self, record: Record) -> Outputs:
        async with asyncio.timeout(SLOW):
            made = self.handler.prepare(SHARD, record).run()
            return made if isinstance(made, list) else await made

    async def start(self, group: asyncio.TaskGroup, *records: Record) -> list[asyncio.Task[Outputs]]:
        tasks = [group.create_task(self.run(record)) for record in records]
        await settled()
        return tasks

    def apply(self, outputs: Outputs) -> None:
        """What the door reads of it once it is committed."""
        for each in on(outputs, ADMISSIONS.name):
            entry = AdmissionEvent.model_validate_json(each.value or b"")
            self.controller.apply((each.key or b"").decode(), entry, self.clock.at_ms)

    def close(self, outputs: Outputs) -> None:
        """What a later stage does when the request is over."""
        self.controller.close(opened(outputs))


async def entry(*tenants: Tenant, **how: Unpack[How]) -> IngressSetup:
    """An entry stage whose shards are open."""
    return await IngressSetup(*tenants, **how).open()


def limited(**limits: float) -> Tenant:
    """The tenant with other limits."""
    return ACME.model_copy(update={"limits": Limits.model_validate(limits)})


def states(outputs: Outputs) -> list[str]:
    """What the door is told."""
    return [AdmissionEvent.model_validate_json(each.value or b"").state for each in on(outputs, ADMISSIONS.name)]


def opened(outputs: Outputs) -> AdmissionKey:
    """The ticket of a request that got in."""
    entries = [AdmissionEvent.model_validate_json(each.value or b"") for each in on(outputs, ADMISSIONS.name)]
    (admission,) = [each.admission for each in entries if each.state == "open"]
    assert admission is not None
    return admission


def forwarded(outputs: Outputs) -> Authorized:
    """The hop, of outputs that hold nothing else than a forward does."""
    (stage_record,) = on(outputs, "platform.authorized")
    assert "open" in states(outputs)
    assert {each.topic for each in outputs} == {"platform.authorized", ADMISSIONS.name}
    SEALS.verify(stage_record.topic, stage_record.key, stage_record.value, header(stage_record, "headrace-seal"))
    return Authorized.model_validate_json(stage_record.value or b"")


def refusal(outputs: Outputs, *, topic: str = RESULTS) -> Result:
    """The result, of outputs that end a request without a letter."""
    result = the_result(outputs, topic)
    assert on(outputs, DEAD_LETTERS.name) == []
    return result


def failure(outputs: Outputs) -> Result:
    """The result, of outputs that end a request with a letter of the same code."""
    result, (dead_letter,) = the_result(outputs), on(outputs, DEAD_LETTERS.name)
    assert result.error is not None
    assert header(dead_letter, "headrace-error-code") == result.error.code
    assert states(outputs) == ["closed"]
    return result


def code(result: Result) -> str:
    """Of a result that is no success."""
    assert result.error is not None
    return result.error.code


def letter_alone(outputs: Outputs) -> ProducerRecord:
    """The letter, of outputs that hold nothing else."""
    (dead_letter,) = outputs
    assert dead_letter.topic == DEAD_LETTERS.name
    return dead_letter


# --- what comes in --------------------------------------------------------------------------------------------------


async def test_bare_json_without_headers_is_taken_under_an_id_made_of_its_position() -> None:
    """Somebody types into a Kafka UI."""
    stage_record = forwarded(await (await entry()).run(request_record(id=None)))

    assert stage_record.request_id == f"{REQUESTS}:0:7:{NOW}"
    assert (stage_record.request.agent, stage_record.request.text) == ("echo", "hello")


async def test_a_forward_opens_the_request_and_says_once_that_its_partition_is_served() -> None:
    """One transaction holds all of it; the inbox forgets what is old, so it is said again when a day has passed."""
    here = await entry()
    first = await here.run(request_record())
    assert states(first) == ["open", "serving"]
    assert here.controller.is_served(serving_key("acme", Partition(REQUESTS, 0)))
    assert states(await here.run(request_record(id="r-2"))) == ["open"]
    assert here.controller.in_flight("acme") == 2
    here.clock.at_ms += 24 * 3_600_000
    here.close(first)
    assert states(await here.run(request_record(id="r-3", at_ms=here.clock.at_ms))) == ["open", "serving"]


@pytest.mark.parametrize("odd", [("ce_source", None), ("reply_to", None), ("x", None), ("ce_type", b"\xff")])
async def test_a_header_without_a_value_is_as_none(odd: tuple[str, bytes | None]) -> None:
    """Other clients send NULL, and bytes where text is wanted."""
    assert forwarded(await (await entry()).run(request_record(headers=(odd,)))).request_id == "r-1"


@pytest.mark.parametrize("name", ["correlation_id", "kafka_correlationId"])
async def test_sixteen_raw_bytes_of_correlation_come_back_as_they_came(name: str) -> None:
    """Spring's template finds its reply by them."""
    raw = bytes(range(240, 256))
    record = request_record(headers=((name, raw),))
    here = await entry()

    (stage_record,) = on(await here.run(record), "platform.authorized")
    (result,) = on(await here.run(record._replace(value=b"other", offset=8)), RESULTS)

    assert dict(stage_record.headers)[name] == dict(stage_record.headers)["correlation_id"] == raw
    assert dict(result.headers)[name] == dict(result.headers)["correlation_id"] == raw


async def test_a_structured_event_and_a_registry_prefix_are_read_through() -> None:
    """Clients need nothing of ours."""
    event = {"specversion": "1.0", "id": "e-1", "source": "/s", "type": "headrace.request.v1"}
    structured = json.dumps(event | {"data": json.loads(BODY)}).encode()
    here = await entry()

    stage_record = forwarded(await here.run(request_record(structured, id=None)))
    prefixed = forwarded(await here.run(request_record(b"\x00" + struct.pack(">I", 7) + BODY, id="r-2")))

    assert (stage_record.request_id, stage_record.identity.source) == ("e-1", "/s")
    assert prefixed.request.agent == "echo"


async def test_the_trace_goes_on_through_every_output() -> None:
    """One trace from request to result, dead letters and the door's memory included."""
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    here = await entry()
    for value in (BODY, b"not json"):
        outputs = await here.run(request_record(value, id=value.hex(), headers=(("traceparent", parent),)))
        assert {(header(each, "traceparent") or "")[3:35] for each in outputs} == {"0af7651916cd43dd8448eb211c80319c"}


# --- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"not json",
        b"",
        None,
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"agent": "echo"}',
        b'{"agent": 7, "input": "x"}',
        b"[" * 9999,
    ],
)
async def test_what_is_not_a_request_is_answered_and_buried(value: bytes | None) -> None:
    """Poison never blocks its partition, and its caller learns what is wrong with it."""
    here = await entry()

    result = failure(await here.run(request_record(value)))

    assert (result.status, code(result), result.request_id) == ("failed", "malformed", "r-1")
    assert here.controller.in_flight("acme") == 0
    assert await here.run(request_record(value, offset=8)) == []


async def test_an_answer_to_garbage_goes_where_its_sender_listens() -> None:
    """If the tenant's record lists the topic."""
    wanted: HeaderList = (("reply_to", b"acme-answers"),)
    outputs = await (await entry()).run(request_record(b"not json", headers=wanted))

    assert code(the_result(outputs, "acme-answers")) == "malformed"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (request_record(b"x" * (EDGE_VALUE_LIMIT + 1)), "too_large"),
        (request_record(headers=tuple((f"h{n}", b"") for n in range(64))), "too_large"),
        (request_record(headers=(("big", b"x" * 65_537),)), "too_large"),
        (request_record(headers=(("reply_to", b"a"), ("reply_to", b"b"))), "malformed"),
        (request_record(headers=(("headrace-seal", b"a"), ("headrace-seal", b"a"))), "malformed"),
        (request_record(headers=(("ce_specversion", b"0.3"),)), "unsupported_version"),
        (request_record(headers=(("ce_type", b"other.v9"),)), "unsupported_version"),
        (request_record(b'{"agent": "echo", "input": "", "session": "s"}', key=b"other"), "malformed"),
    ],
)
async def test_a_damaged_record_whose_id_can_be_read_is_answered(record: Record, expected: str) -> None:
    """A dead letter alone would leave the caller waiting."""
    assert code(failure(await (await entry()).run(record))) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (request_record(id=None, headers=(("ce_id", b"a"), ("ce_id", b"b"))), "malformed"),
        (request_record(id="x" * 129), "malformed"),
    ],
)
async def test_a_damaged_record_whose_id_is_not_one_text_is_buried(record: Record, expected: str) -> None:
    """Nobody could tell which request the answer is of."""
    dead_letter = letter_alone(await (await entry()).run(record))

    assert header(dead_letter, "headrace-error-code") == expected
    assert dead_letter.key == f"acme|{record.position}".encode()


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (request_record(b"x" * (EDGE_VALUE_LIMIT + 1), id=None), "too_large"),
        (request_record(id=None, headers=tuple((f"h{n}", b"") for n in range(65))), "too_large"),
        (request_record(id=None, headers=(("traceparent", b"a"), ("traceparent", b"b"))), "malformed"),
        (request_record(b"", id=None)._replace(missing=Missing(value=10**9)), "too_large"),
    ],
)
async def test_a_damaged_record_without_an_id_is_answered_by_its_position(record: Record, expected: str) -> None:
    """D.1: the position names one record, and the correlation id is echoed."""
    outputs = await (await entry()).run(record)
    result = the_result(outputs)

    assert code(result) == expected
    assert result.request_id == f"{record.position}:{record.timestamp}"
    assert len(on(outputs, DEAD_LETTERS.name)) == 1


async def test_what_compression_let_through_is_never_written_back_at_its_size() -> None:
    """A batch of a megabyte may hold a record of a gigabyte: an output that no topic takes would wedge the shard."""
    huge = b"k" * (EDGE_RECORD_LIMIT + 1)
    here = await entry()
    for record in (
        request_record(b"v" * (DEAD_LETTER_LIMIT + 1)),
        request_record(id="r-2", key=huge),
        request_record(id="r-3", headers=(("correlation_id", huge),)),
    ):
        outputs = await here.run(record)
        assert states(outputs) == ["closed"]
        assert len(on(outputs, DEAD_LETTERS.name)) == 1
        assert max(len(each.key or b"") + len(each.value or b"") for each in outputs) < DEAD_LETTER_LIMIT
    again = await here.run(request_record(id="r-2", key=huge, offset=9, value=b"another"))
    assert letter_alone(again).topic == DEAD_LETTERS.name


async def test_a_dead_letter_of_a_conflict_counts_too() -> None:
    """C.6: its result cannot be written, and no admission event counts it."""
    huge = b"k" * (EDGE_RECORD_LIMIT + 1)
    limits = Limits(dlq=DlqLimit(count=3, share=0.1))
    here = await entry(ACME.model_copy(update={"limits": limits}), OTHER)
    await here.run(request_record(key=huge))
    assert not here.controller.breaker("acme").open_for_ms()
    for number in range(3):
        await here.run(request_record(key=huge, offset=9 + number, value=b"another %d" % number))
    assert here.controller.breaker("acme").open_for_ms()


async def test_a_record_of_a_tenant_that_has_gone_is_buried() -> None:
    """It may have been fetched before the registry forgot its tenant."""
    here = await entry()
    here.registry.apply(registry_record(ACME)._replace(value=None))

    assert letter_alone(await here.run(request_record())).key == f"acme|{REQUESTS}:0:7".encode()


# --- who is turned away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (request_record(b'{"agent": "nobody", "input": ""}'), "unknown_agent"),
        (request_record(b'{"agent": "planner", "input": ""}'), "forbidden"),
        (request_record(headers=(("reply_to", b"platform.screened"),)), "forbidden"),
    ],
)
async def test_a_refusal_is_told_and_not_buried_and_takes_no_place(record: Record, expected: str) -> None:
    """It is the caller's to mend; asking again is answered by the same."""
    here = await entry()

    outputs = await here.run(record)

    assert (refusal(outputs).status, code(refusal(outputs))) == ("refused", expected)
    assert states(outputs) == ["closed"]
    assert here.controller.in_flight("acme") == 0
    assert await here.run(record._replace(offset=8)) == []


async def test_a_tenant_that_signs_is_refused() -> None:
    """Until somebody verifies signatures."""
    here = await entry(ACME.model_copy(update={"identity": "signed"}))

    assert code(refusal(await here.run(request_record()))) == "unauthenticated"


async def test_a_duplicate_is_joined_whether_the_first_runs_or_is_over() -> None:
    """One result; the second record just ends."""
    here = await entry()
    first = await here.run(request_record())
    assert await here.run(request_record(offset=8)) == []
    here.close(first)
    assert await here.run(request_record(offset=9)) == []


async def test_another_body_under_the_same_id_is_a_conflict_with_a_run_of_its_own() -> None:
    """Its answer must not look like that of the first, and must not close it."""
    here = await entry()
    stage_record = forwarded(await here.run(request_record()))
    for value, offset in ((b'{"agent": "echo", "input": "bye"}', 8), (b"garbage", 9)):
        outputs = await here.run(request_record(value, offset=offset))
        assert code(refusal(outputs)) == "id_conflict"
        assert states(outputs) == []
        assert refusal(outputs).run_id != stage_record.run_id
    assert here.controller.in_flight("acme") == 1


async def test_the_same_body_under_another_key_is_joined() -> None:
    """Key and session say where it waits, not what it is."""
    here = await entry()
    await here.run(request_record(key=b"s-1"))

    assert await here.run(request_record(key=b"s-2", offset=8)) == []


async def test_a_request_past_its_deadline_is_expired_and_one_that_waited_out_is_limited() -> None:
    """Both are known on arrival after an outage; neither is started."""
    here = await entry(limited(default_deadline=60, max_wait=120))
    here.clock.at_ms += 120_000
    late = request_record(b'{"agent": "echo", "input": "", "deadline": 3000}', id="r-2", offset=8)

    expired, waited = refusal(await here.run(request_record())), refusal(await here.run(late))

    assert (expired.status, code(expired)) == ("expired", "expired")
    assert (waited.status, code(waited)) == ("refused", "rate_limited")
    assert waited.error is not None
    assert (waited.error.retryable, waited.error.retry_after) == (True, 60)
    assert here.controller.in_flight("acme") == 0


async def test_who_waits_at_the_door_is_answered_when_the_time_is_up() -> None:
    """max_wait and the deadline end the wait, whichever is first, and give the place in the queue back."""
    here = await entry(limited(concurrency=1, max_wait=0.05))
    first = await here.run(request_record())
    soon = b'{"agent": "echo", "input": "", "deadline": 0.02}'
    async with asyncio.TaskGroup() as group:
        waiting = await here.start(group, request_record(id="r-2"), request_record(soon, id="r-3"))
    assert [code(refusal(task.result())) for task in waiting] == ["rate_limited", "expired"]
    here.close(first)
    forwarded(await here.run(request_record(id="r-4")))


async def test_one_who_waits_behind_its_session_expires_in_time() -> None:
    """However long those before it may wait: what is expired is answered at once."""
    here = await entry(limited(concurrency=9))
    await here.run(request_record(key=b"s"))
    soon = b'{"agent": "echo", "input": "", "deadline": 0.02}'
    async with asyncio.TaskGroup() as group:
        second, third = await here.start(
            group, request_record(id="r-2", key=b"s", offset=8), request_record(soon, id="r-3", key=b"s", offset=9)
        )
        assert code(refusal(await third)) == "expired"
        assert not second.done()
        second.cancel()


async def test_to_the_loop_each_record_is_a_lane_of_its_own() -> None:
    """In one lane, the third of a session would not be looked at before the second is in, however late it were."""
    here = await entry()
    records = [request_record(value, key=b"s", offset=n) for n, value in enumerate((BODY, BODY, b"garbage"))]

    assert len({here.handler.prepare(SHARD, record).lane for record in records}) == 3


# --- order and room -------------------------------------------------------------------------------------------------


async def test_a_session_goes_one_by_one_and_others_pass() -> None:
    """The door keeps the order of the records."""
    here = await entry(limited(concurrency=9))
    first = await here.run(request_record(key=b"s"))
    async with asyncio.TaskGroup() as group:
        records = [request_record(id=f"r-{n}", key=b"s", offset=n) for n in (8, 9)]
        second, third = await here.start(group, *records)
        forwarded(await here.run(request_record(id="other")))
        assert not second.done()
        here.close(first)
        forwarded(await second)
        await settled()
        assert not third.done()
        here.close(second.result())
        forwarded(await third)


async def test_a_tenants_cap_holds_while_its_forwards_are_not_committed() -> None:
    """And the next goes in when one is closed, by whichever stage."""
    here = await entry(limited(concurrency=2))
    outputs = [await here.run(request_record(id=f"r-{n}")) for n in (1, 2)]
    async with asyncio.TaskGroup() as group:
        (third,) = await here.start(group, request_record(id="r-3"))
        assert not third.done()
        closed = admission_record("closed", opened(outputs[0]), shards=SHARDS, trace=(), now_ms=NOW)
        here.controller.apply(
            (closed.key or b"").decode(), AdmissionEvent.model_validate_json(closed.value or b""), NOW
        )
        forwarded(await third)


async def test_a_first_request_that_is_refused_lets_the_next_of_its_session_in() -> None:
    """The lane is free again, whatever came of it."""
    here = await entry(limited(concurrency=1))
    await here.run(request_record(b'{"agent": "nobody", "input": ""}', key=b"s"))

    forwarded(await here.run(request_record(id="r-2", key=b"s")))


async def test_a_duplicate_that_waited_beside_the_first_is_joined_when_it_gets_in() -> None:
    """The same identity under two keys stands in two lanes."""
    here = await entry(limited(concurrency=1))
    first = await here.run(request_record(id="r-0"))
    async with asyncio.TaskGroup() as group:
        one, two = await here.start(group, request_record(key=b"s"), request_record(key=b"t", offset=8))
        here.close(first)
        forwarded(await one)
        here.close(one.result())
    assert two.result() == []


async def test_the_step_sees_its_tenant_as_the_registry_has_it_when_its_turn_comes() -> None:
    """A right that is taken away while the request waits is gone."""
    here = await entry(limited(concurrency=1), OTHER)
    first = await here.run(request_record())
    async with asyncio.TaskGroup() as group:
        (second,) = await here.start(group, request_record(id="r-2"))
        here.registry.apply(registry_record(ACME.model_copy(update={"agents": ()})))
        here.close(first)
    assert code(refusal(second.result())) == "unknown_agent"


# --- cancels ---------------------------------------------------------------------------------------------------------

TALKS = ACME.model_copy(update={"interactive": True, "limits": Limits(concurrency=1)})


def word(value: bytes, *, headers: HeaderList = (), offset: int = 0) -> Record:
    """A record of the tenant's control topic."""
    return Record(CONTROL.of("acme"), 0, offset, NOW, None, value, headers)


CANCEL = word(b'{"request_id": "r-1", "kind": "cancel"}')


async def test_a_cancel_answers_what_waits_and_is_kept_until_that_is_committed() -> None:
    """The two are committed apart: the word must outlive a crash between them."""
    here = await entry(TALKS, OTHER)
    first = await here.run(request_record(id="r-0"))
    async with asyncio.TaskGroup() as group:
        (waiting,) = await here.start(group, request_record())
        (said,) = await here.run(CANCEL)
        outputs = await waiting
    assert said.topic == ADMISSIONS.name
    assert AdmissionEvent.model_validate_json(said.value or b"").state == "cancelled"
    assert (refusal(outputs).status, code(refusal(outputs))) == ("cancelled", "cancelled")
    assert states(outputs) == ["closed"]
    assert said.key == cancel_key((on(outputs, ADMISSIONS.name)[0].key or b"").decode()).encode()
    assert here.controller.in_flight("acme") == 1
    here.close(first)


async def test_a_cancel_that_is_ahead_of_its_request_waits_for_it() -> None:
    """They travel on two topics."""
    here = await entry(TALKS, OTHER)
    await here.run(CANCEL)

    assert refusal(await here.run(request_record())).status == "cancelled"
    assert await here.run(request_record(offset=8)) == [], "a second copy is joined"
    assert states(await here.run(request_record(id="r-2"))) == ["open", "serving"]


@pytest.mark.parametrize("by", ["request_id", "run_id"])
async def test_a_cancel_of_what_runs_is_passed_on_under_our_seal(by: str) -> None:
    """Whoever runs it hears of it; the door waits for its end like for any other."""
    here = await entry(TALKS, OTHER)
    stage_record = forwarded(outputs := await here.run(request_record()))
    name = stage_record.run_id if by == "run_id" else "r-1"
    (said,) = await here.run(word(json.dumps({by: name, "kind": "cancel"}).encode()))

    assert (said.topic, said.key) == ("platform.control", stage_record.run_id.encode())
    SEALS.verify(said.topic, said.key, said.value, header(said, "headrace-seal"))
    assert RunControl.model_validate_json(said.value or b"").tenant == "acme"
    here.close(outputs)
    assert await here.run(CANCEL) == [], "it comes too late"


async def test_cancels_that_nobody_waits_for_are_deleted_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """C.4: cancels of made-up requests filled the shared log. The oldest go, those that are settled go first."""
    monkeypatch.setattr(tenant_admission_module, "CANCELLED", 3)
    here = await entry(TALKS, OTHER)

    def cancel(name: str) -> Record:
        return word(json.dumps({"request_id": name, "kind": "cancel"}).encode())

    said = [(await here.run(cancel(f"r-{number}")))[0] for number in range(3)]
    await here.run(request_record(id="r-1"))
    new, settled = await here.run(cancel("r-3"))
    assert (settled.key, settled.value, settled.partition) == (said[1].key, None, new.partition)
    here.controller.apply((settled.key or b"").decode(), None, NOW)
    _, oldest = await here.run(cancel("r-4"))
    assert (oldest.key, oldest.value) == (said[0].key, None)
    assert refusal(await here.run(request_record(id="r-2"))).status == "cancelled"
    assert await here.run(request_record(id="r-1", offset=8)) == [], "a deleted cancel deletes no request"


async def test_control_records_above_the_rate_wait() -> None:
    """C.4: by number and by bytes; the rate of requests is another one."""
    limits = Limits(concurrency=1, control_rpm=6)
    here = await entry(ACME.model_copy(update={"interactive": True, "limits": limits}), OTHER)
    assert len(await here.run(CANCEL)) == 1
    assert len(await here.run(CANCEL)) == 1
    async with asyncio.TaskGroup() as group:
        (late,) = await here.start(group, CANCEL)
        assert not late.done()
        late.cancel()


async def test_a_cancel_is_of_the_source_that_asked() -> None:
    """The source is part of the identity."""
    here = await entry(TALKS, OTHER)
    await here.run(CANCEL._replace(headers=(("ce_source", b"/other"),)))
    forwarded(await here.run(request_record()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"no json", "malformed"),
        (b'{"kind": "cancel"}', "malformed"),
        (b'{"kind": "cancel", "run_id": "../x"}', "malformed"),
        (b'{"kind": "approve", "run_id": "x"}', "unsupported_version"),
        (b'{"kind": "cancel", "request_id": "' + b"r" * 129 + b'"}', "malformed"),
        (b'{"kind": "cancel", "request_id": "a\\u0000b"}', "malformed"),
        (b'{"kind": "cancel", "run_id": "' + b"a" * 65 + b'"}', "malformed"),
        (b'{"kind": "cancel", "request_id": "r", "data": {"x": "' + b"x" * 65_536 + b'"}}', "too_large"),
    ],
)
async def test_a_control_record_that_nobody_can_follow_is_buried(value: bytes, expected: str) -> None:
    """It blocks nobody."""
    here = await entry(TALKS, OTHER)
    assert header(letter_alone(await here.run(word(value))), "headrace-error-code") == expected


async def test_nobody_cancels_for_a_tenant_whose_callers_sign() -> None:
    """No signature is verified yet."""
    here = await entry(TALKS.model_copy(update={"identity": "signed"}), OTHER)
    assert header(letter_alone(await here.run(CANCEL)), "headrace-error-code") == "unauthenticated"


async def test_an_interactive_tenants_control_belongs_to_its_door() -> None:
    """One shard decides of requests and of cancels."""
    here = await entry(TALKS, OTHER)
    assert Partition(CONTROL.of("acme"), 0) in here.handler.route(SHARD)
    assert not any("control" in place.topic for place in (await entry()).handler.route(SHARD))


# --- rates, and the window ------------------------------------------------------------------------------------------


async def test_what_is_let_in_under_a_rate_says_so_in_each_entry_and_hop() -> None:
    """The next owner counts it, whichever entry it finds."""
    here = await entry(limited(rpm=2), OTHER)
    stage_record = forwarded(outputs := await here.run(request_record()))
    refused = await here.run(request_record(b'{"agent": "nobody", "input": ""}', id="r-2"))

    assert stage_record.admission.charged_ms == opened(outputs).charged_ms == NOW
    (closed,) = [
        AdmissionEvent.model_validate_json(each.value or b"").admission for each in on(refused, ADMISSIONS.name)
    ]
    assert closed is not None
    assert (closed.charged_ms, code(refusal(refused))) == (NOW, "unknown_agent")
    soon = b'{"agent": "echo", "input": "", "deadline": 0.01}'
    assert code(refusal(await here.run(request_record(soon, id="r-3")))) == "expired"


async def test_what_waits_for_its_session_does_not_count_against_the_window() -> None:
    """And what waits for the tenant's own limits does."""
    here, place = await entry(limited(concurrency=2), OTHER), Partition(REQUESTS, 0)
    first = await here.run(request_record(key=b"s"))
    other = await here.run(request_record(id="r-2"))
    async with asyncio.TaskGroup() as group:
        queued = await here.start(group, *(request_record(id=f"s-{n}", key=b"s") for n in range(5)))
        waiting = await here.start(group, request_record(id="r-3"))
        assert here.handler.exempt(place) == 5
        for task in (*queued, *waiting):
            task.cancel()
    assert here.handler.exempt(place) == 0
    here.close(first)
    here.close(other)


# --- when a step fails ----------------------------------------------------------------------------------------------


async def _boom(_value: object, _context: StepContext) -> Never:
    raise RuntimeError("prompt: my password is hunter2")


async def _times_out(_value: object, _context: StepContext) -> Never:
    raise TimeoutError


async def _cancels_itself(_value: object, _context: StepContext) -> Never:
    raise asyncio.CancelledError


async def _blocks(_value: object, _context: StepContext) -> Never:
    raise BlockedError("no")


async def _sheds_load(_value: object, _context: StepContext) -> Never:
    raise ModelOverloadedError


@pytest.mark.parametrize("step", [_boom, _times_out, _cancels_itself])
async def test_whatever_a_step_raises_ends_in_one_answer(step: Step[Request, Authorized]) -> None:
    """A timeout of its own is not the caller's deadline, and a cancellation of its own is not ours: unknown."""
    here = await entry(authorize=step)

    outputs = await here.run(request_record())

    assert code(failure(outputs)) == "internal"
    assert not any(b"hunter2" in (each.value or b"") for each in on(outputs, RESULTS))
    assert here.controller.in_flight("acme") == 0


async def test_a_fused_step_goes_on_to_the_agents_or_says_why_not() -> None:
    """The compact journey screens at the door."""
    passed = await (await entry(journey="compact")).run(request_record())
    (stage_record,) = on(passed, "platform.screened")
    assert Screened.model_validate_json(stage_record.value or b"").text == "hello"
    assert stage_record.partition is None
    assert "open" in states(passed)
    blocked = await (await entry(journey="compact", screen=_blocks)).run(request_record())
    assert code(refusal(blocked)) == "blocked"
    shed = await (await entry(journey="compact", screen=_sheds_load)).run(request_record())
    assert code(failure(shed)) == "model_overloaded"


async def test_a_step_that_outlives_the_deadline_is_expired_and_one_that_outlives_the_wait_is_not() -> None:
    """Once in, a request has stopped waiting: max_wait is no longer its business."""

    async def slow(authorized: Authorized, context: StepContext) -> Screened:
        await asyncio.sleep(0.05)
        return Screened(authorized=authorized, text="")

    here = await entry(limited(max_wait=0.02), journey="compact", screen=slow)
    soon = b'{"agent": "echo", "input": "", "deadline": 0.01}'
    assert code(refusal(await here.run(request_record(soon)))) == "expired"
    assert states(await here.run(request_record(id="r-2"))) == ["open", "serving"]
    assert here.controller.in_flight("acme") == 1


async def test_a_hop_that_is_too_large_is_unwritable() -> None:
    """It is checked before it joins a batch."""

    async def swells(authorized: Authorized, context: StepContext) -> Screened:
        return Screened(authorized=authorized, text="x" * 5 * EDGE_VALUE_LIMIT)

    here = await entry(journey="compact", screen=swells)
    assert code(failure(await here.run(request_record()))) == "unwritable"
    assert here.controller.in_flight("acme") == 0


async def test_a_foreign_reply_topic_takes_less_than_ours() -> None:
    """Who made it knows; brokers take a megabyte by default."""
    wide: HeaderList = (("reply_to", b"acme-answers"), ("correlation_id", b"c" * 40_000))
    outputs = await (await entry()).run(request_record(b"x", key=b"k" * 60_000, headers=wide))

    (result,) = on(outputs, "acme-answers")
    assert sum(len(value or b"") for _, value in result.headers) + len(result.key or b"") < FOREIGN_LIMIT


# --- a life after another -------------------------------------------------------------------------------------------


async def test_a_job_of_an_earlier_life_acts_on_the_door_of_its_own() -> None:
    """One that will not end when it is cancelled must not close what the next life has open."""
    go_on = asyncio.Event()

    async def stubborn(request: Request, context: StepContext) -> Authorized:
        await go_on.wait()
        raise RuntimeError

    here = await entry(authorize=stubborn)
    async with asyncio.TaskGroup() as group:
        (job,) = await here.start(group, request_record())
        here.admission_memory.forget(SHARD)
        await here.admission_memory.load_memory(SHARD)
        envelope = open_envelope(request_record(), SIZES)
        identity = identify(ACME, StepContext(tenant=ACME, clock=here.clock, envelope=envelope))
        again = AdmissionKey(
            key=f"acme|{identity.digest}", body=envelope.body, lane="l", request_id="r-1", deadline_ms=NOW + 1
        )
        await here.controller.enter(again, 9)
        go_on.set()
        await job
    assert here.controller.in_flight("acme") == 1


async def test_a_job_whose_shard_has_closed_ends_without_an_error() -> None:
    """It is cancelled at once, or finishes first: it must not end the worker."""
    here = await entry()
    jobs = [here.handler.prepare(SHARD, request_record(value)) for value in (BODY, b"garbage")]
    here.admission_memory.forget(SHARD)

    for job in jobs:
        made = job.run()
        assert made if isinstance(made, list) else await made


async def test_cancelled_at_the_door_it_leaves_its_place() -> None:
    """A partition may be taken from a shard that stays open."""
    here = await entry(limited(concurrency=1))
    first = await here.run(request_record())
    async with asyncio.TaskGroup() as group:
        (second,) = await here.start(group, request_record(id="r-2"))
        second.cancel()
        await settled()
        assert second.cancelled()
        here.close(first)
        forwarded(await here.run(request_record(id="r-3")))


async def test_a_shard_owns_all_request_partitions_of_its_tenants_and_no_others() -> None:
    """So one door decides alone."""
    tenants = [Tenant(id=f"t{n}", partitions=1 + n % 3) for n in range(20)]
    here = IngressSetup(*tenants)

    routes = [here.handler.route(shard) for shard in range(SHARDS)]

    assert sum(len(route) for route in routes) == sum(tenant.partitions for tenant in tenants)
    for tenant in tenants:
        owned = {Partition(f"tenants.{tenant.id}.requests", number) for number in range(tenant.partitions)}
        assert owned <= routes[shard_of(tenant.id, SHARDS)]


async def test_a_new_partition_begins_and_one_that_lost_its_offset_stands_still() -> None:
    """Its first offset is committed together with the word that it is served."""
    here, place = await entry(), Partition(REQUESTS, 0)

    outputs = here.handler.first(place)
    assert outputs is not None
    (said,) = outputs
    assert said.key == serving_key("acme", place).encode()
    here.controller.apply((said.key or b"").decode(), AdmissionEvent.model_validate_json(said.value or b""), NOW)
    assert here.handler.first(place) is None
    assert here.handler.first(Partition("platform.screened", 0)) is None
    here.admission_memory.forget(SHARD)
    assert here.handler.first(Partition(REQUESTS, 1)), "asked while the shard closes; the answer is thrown away"


async def test_the_loop_is_told_to_throw_away_what_a_closed_door_decided() -> None:
    """The door starts from what is committed only."""
    handler = (await entry()).handler

    assert not handler.keeps_runs
    assert handler.group == "headrace.auth"
    assert handler.window == 256


async def test_an_answer_that_no_topic_takes_is_given_on_the_tenants_own_topic_and_closes_what_it_closed() -> None:
    """A conflict closes nothing, for the first of its identity goes on; all others leave the door."""
    stage = await entry()
    record = request_record(b'{"agent": "echo", "input": "hello"}')
    job = stage.handler.prepare(SHARD, record)
    made = job.run()
    outputs = made if isinstance(made, list) else await made
    assert job.fallback is not None
    assert stage.controller.in_flight("acme") == 1

    failed = job.fallback(outputs, UnwritableError())
    apart = job.fallback(on(outputs, "nowhere"), UnwritableError())

    assert code(failure(failed)) == "unwritable"
    assert stage.controller.in_flight("acme") == 0
    assert code(the_result(apart)) == "unwritable"
    assert states(apart) == []
    assert the_result(apart).run_id != the_result(failed).run_id


async def test_an_answer_that_no_topic_takes_stays_charged() -> None:
    """A rate is exact in any minute, whatever becomes of the answers."""
    stage = await entry(limited(rpm=2))
    job = stage.handler.prepare(SHARD, request_record())
    made = job.run()
    outputs = made if isinstance(made, list) else await made
    assert job.fallback is not None

    (closed,) = on(job.fallback(outputs, UnwritableError()), ADMISSIONS.name)

    admission = opened(outputs)
    assert admission.charged_ms == NOW
    assert AdmissionEvent.model_validate_json(closed.value or b"").admission == admission


async def test_a_tenant_of_whom_too_much_is_buried_waits_for_its_door_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody can read, on either topic, makes no more dead letters than the tenant may; then all goes on."""
    monkeypatch.setattr(tenant_admission_module, "CHECK_S", 0)
    monkeypatch.setattr(breaker_module, "CHECK_S", 0)
    limit = DlqLimit(count=3, cool_down=20)
    noisy = ACME.model_copy(update={"interactive": True, "limits": Limits(dlq=limit)})
    made = await entry(noisy, OTHER)
    made.apply(await made.run(request_record(b"not json", id="bad-1")))
    control = Record(CONTROL.of("acme"), 0, 0, NOW, b"key", b"not json", ())
    for offset in range(2):
        assert on(await made.run(control._replace(offset=offset)), DEAD_LETTERS.name)

    async with asyncio.TaskGroup() as group:
        late = request_record(b"not json", id="bad-2", offset=7)
        waiting = await made.start(group, late, request_record(BODY, offset=8), control._replace(offset=2))
        assert not any(task.done() for task in waiting)
        assert made.handler.is_limited(Partition(REQUESTS, 0))
        made.clock.at_ms += 20_000
        dead_lettered, forwarded, controlled = [await task for task in waiting]
    assert on(dead_lettered, DEAD_LETTERS.name)
    assert on(controlled, DEAD_LETTERS.name)
    assert opened(forwarded)


async def test_what_cannot_be_read_waits_no_longer_than_its_tenants_requests_may() -> None:
    """Waiting has an end, whatever for."""
    limits = Limits(dlq=DlqLimit(count=1, cool_down=3_600), max_wait=0.05)
    made = await entry(ACME.model_copy(update={"limits": limits, "interactive": True}))
    control = Record(CONTROL.of("acme"), 0, 0, NOW, b"key", b"not json", ())
    assert on(await made.run(control), DEAD_LETTERS.name)

    async with asyncio.timeout(5):
        assert on(await made.run(control._replace(offset=1)), DEAD_LETTERS.name)


async def test_what_later_stages_buried_makes_the_next_request_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the tenant's record says, though nothing of it was ever unreadable here."""
    monkeypatch.setattr(tenant_admission_module, "CHECK_S", 0)
    made = await entry(ACME.model_copy(update={"limits": Limits(dlq=DlqLimit(count=1, cool_down=20))}))
    first = opened(await made.run(request_record(BODY, id="r-1")))
    made.controller.apply(first.key, AdmissionEvent(state="closed", admission=first, dead_lettered=True), NOW)

    async with asyncio.TaskGroup() as group:
        (waiting,) = await made.start(group, request_record(BODY, id="r-2", offset=8))
        assert not waiting.done()
        made.clock.at_ms += 20_000
        assert opened(await waiting)


async def test_a_new_owner_looks_at_the_results_of_its_own_tenants() -> None:
    """Each tenant has one shard, and all its refusals come from there."""
    here = IngressSetup(ACME.model_copy(update={"partitions": 2}))

    surveyed = [here.handler.survey(shard) for shard in range(SHARDS)]

    assert surveyed[SHARD] == {Partition(RESULTS, 0), Partition(RESULTS, 1)}
    assert [len(each) for each in surveyed].count(0) == SHARDS - 1


async def test_a_removed_tenants_requests_are_refused_and_closed() -> None:
    """New ones and those that wait, each with one result; an admitted one keeps its place until it ends."""
    tenant = ACME.model_copy(update={"limits": Limits(concurrency=1)})
    setup = await IngressSetup(tenant).open()
    first = await setup.run(request_record(BODY, id="r-0", offset=0))
    async with asyncio.TaskGroup() as group:
        (waiting,) = await setup.start(group, request_record(BODY, id="r-1", offset=1))
        assert not waiting.done()
        removed = tenant.model_copy(update={"state": "removed"})
        setup.registry.apply(registry_record(removed))
        setup.admission_memory.apply_tenant(removed)
    late = await setup.run(request_record(BODY, id="r-2", offset=2))

    for outputs in (waiting.result(), late):
        result = the_result(outputs)
        assert result.error is not None
        assert (result.status, result.error.code) == ("refused", "tenant_removed")
    assert on(first, ADMISSIONS.name)
    assert setup.controller.in_flight("acme") == 1


async def test_raised_limits_reach_requests_that_wait() -> None:
    """Without another request that would bring the new record along."""
    tenant = ACME.model_copy(update={"limits": Limits(concurrency=1, rpm_per_agent=2)})
    setup = await IngressSetup(tenant).open()
    await setup.run(request_record(BODY, id="r-0", offset=0))
    async with asyncio.TaskGroup() as group:
        waiting = await setup.start(
            group, *(request_record(BODY, id=f"r-{number}", offset=number) for number in range(1, 4))
        )
        raised = tenant.model_copy(update={"limits": Limits(concurrency=8)})
        setup.registry.apply(registry_record(raised))
        setup.admission_memory.apply_tenant(raised)

    assert all(task.result() for task in waiting)
    assert setup.controller.in_flight("acme") == 4
