"""Guards take turns or run side by side, fail as their policy says, and say nothing of what they read."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import pytest

from consumers.context import StepContext
from consumers.guard.content import LARGE, Content
from consumers.guard.guards import Action, Guard, GuardResult, Policy
from consumers.guard.pipeline import EVIDENCE_LIMIT, NOTE_LIMIT, WORST_FIRST, Pipeline, PipelineResult
from consumers.meter import GuardEnded, Measurement
from consumers.spans import Attribute, OpenSpan, SpanKind
from schemas.errors import GuardUnavailableError, TooLargeError
from schemas.stage_records import Verdict
from tests.unit.consumers.guard.fakes import CANARY, Told, broken, context, late, normaliser, spec

pytestmark = pytest.mark.anyio

OPEN = Policy(failure="open", timeout=0.01)
CLOSED = Policy(failure="closed", timeout=0.01)


async def test_rewriting_guards_take_turns_and_detectors_read_the_last_text() -> None:
    """What a detector has not read must not reach the model."""
    first, second, detector = Told(GuardResult(text="one")), Told(GuardResult("redact", text="two")), Told()
    guards = Pipeline(
        input=[spec("d", detector), spec("a", first, rewrites=True), spec("b", second, rewrites=True)],
    )

    outcome = await guards.input(Content("zero"), context())

    assert [guard.asked[0].text for guard in (first, second, detector)] == ["zero", "one", "two"]
    assert outcome.content.text == "two"
    assert [(verdict.guard, verdict.action) for verdict in outcome.verdicts] == [
        ("a", "pass"),
        ("b", "redact"),
        ("d", "pass"),
    ]


async def test_detectors_run_side_by_side() -> None:
    """Two that wait for each other end only if both have started."""
    here, there = asyncio.Event(), asyncio.Event()

    async def one(content: Content, context: StepContext) -> GuardResult:
        here.set()
        await there.wait()
        return GuardResult()

    async def other(content: Content, context: StepContext) -> GuardResult:
        there.set()
        await here.wait()
        return GuardResult()

    outcome = await Pipeline(input=[spec("one", one), spec("other", other)]).input(Content("x"), context())

    assert [verdict.action for verdict in outcome.verdicts] == ["pass", "pass"]


async def test_each_stage_has_its_own_guards() -> None:
    """What may not come in may go out, and a tool is another matter."""
    guards = {name: Told() for name in ("input", "output", "tool")}
    pipeline = Pipeline(
        input=[spec("input", guards["input"])],
        output=[spec("output", guards["output"])],
        tool=[spec("tool", guards["tool"])],
    )

    outcomes = [await stage(Content("x"), context()) for stage in (pipeline.input, pipeline.output, pipeline.tool)]

    assert [outcome.verdicts[0].guard for outcome in outcomes] == ["input", "output", "tool"]
    assert [len(guard.asked) for guard in guards.values()] == [1, 1, 1]


async def test_without_guards_everything_passes_as_it_came() -> None:
    """An empty stage is a choice."""
    content = Content("x")
    assert await Pipeline().input(content, context()) == PipelineResult(content)


async def test_a_rewriting_guard_that_blocks_ends_the_stage() -> None:
    """A judge that costs a model call is not asked what no longer matters."""
    detector = Told()
    guards = Pipeline(input=[spec("a", Told(GuardResult("block")), rewrites=True), spec("d", detector)])

    outcome = await guards.input(Content("x"), context())

    assert outcome.blocks
    assert detector.asked == []


@pytest.mark.parametrize("failing", [broken, late], ids=["raises", "late"])
@pytest.mark.parametrize("rewrites", [True, False])
@pytest.mark.parametrize(("policy", "action"), [(OPEN, "flag"), (CLOSED, "block")], ids=["open", "closed"])
async def test_a_failing_guard_is_a_verdict_of_its_policy(
    failing: Guard,
    rewrites: bool,  # noqa: FBT001
    policy: Policy,
    action: Action,
) -> None:
    """A plug-in must not end the stage, and must not open it by failing."""
    outcome = await Pipeline(input=[spec("g", failing, policy, rewrites=rewrites)]).input(Content(CANARY), context())

    error = "RuntimeError" if failing is broken else "TimeoutError"
    assert outcome.verdicts == (Verdict(guard="g", action=action, note=f"failed: {error}"),)
    assert outcome.content == Content(CANARY)
    assert outcome.blocks is (action == "block")


async def test_a_guard_has_the_time_of_its_own_policy() -> None:
    """One operator's patience is not another's."""
    guards = Pipeline(input=[spec("g", late, CLOSED)])
    async with asyncio.timeout(0.5):
        outcome = await guards.input(Content("x"), context())
    assert outcome.blocks


async def test_one_failing_detector_stops_no_other() -> None:
    """They share a group of tasks, which one failure would end."""
    outcome = await Pipeline(input=[spec("bad", broken, OPEN), spec("good", Told(GuardResult("review")))]).input(
        Content("x"), context()
    )
    assert [(verdict.guard, verdict.action) for verdict in outcome.verdicts] == [("bad", "flag"), ("good", "review")]


@pytest.mark.parametrize(
    "guard",
    [Told(None), Told(GuardResult("forbid")), Told(GuardResult("redact")), Told(GuardResult(text=CANARY))],  # type: ignore[arg-type]
    ids=["no judgement", "unknown action", "redaction without a text", "a detector's text"],
)
async def test_a_guard_that_breaks_its_contract_has_failed(guard: Told) -> None:
    """A redaction that nobody made must not pass for one."""
    outcome = await Pipeline(input=[spec("g", guard)]).input(Content("x"), context())
    assert outcome.blocks
    assert outcome.verdicts[0].note.startswith("failed: ")
    assert outcome.content.text == "x"


@pytest.mark.parametrize("rewrites", [True, False])
async def test_a_cancellation_ends_the_guards(rewrites: bool) -> None:  # noqa: FBT001
    """The run was taken back: that is nobody's verdict, even if the guard were to fail open."""
    guards = Pipeline(input=[spec("g", late, Policy(failure="open", timeout=60), rewrites=rewrites)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await guards.input(Content("x"), context())


@pytest.mark.parametrize("rewrites", [True, False])
async def test_a_guard_that_cancels_itself_has_failed(rewrites: bool) -> None:  # noqa: FBT001
    """Nobody has cancelled the run; a library inside the guard gave up."""

    async def gives_up(content: Content, context: StepContext) -> GuardResult:
        raise asyncio.CancelledError

    outcome = await Pipeline(input=[spec("g", gives_up, rewrites=rewrites)]).input(Content("x"), context())
    assert outcome.verdicts == (Verdict(guard="g", action="block", note="failed: CancelledError"),)


@pytest.mark.parametrize("says", [GuardResult(action, 0.9, ((0, 1),), "rule 7", text="y") for action in WORST_FIRST])
async def test_a_shadow_guard_only_reports(says: GuardResult) -> None:
    """It is tried on live traffic before it may act."""
    shadow = Policy(shadow=True)
    outcome = await Pipeline(input=[spec("g", Told(says), shadow, rewrites=True)]).input(Content("x"), context())

    note = f"shadow {says.action}: rule 7"
    assert outcome.verdicts == (Verdict(guard="g", score=0.9, evidence=((0, 1),), note=note),)
    assert outcome.content == Content("x")
    assert outcome.action == "pass"


async def test_a_shadow_guard_that_fails_closed_closes_nothing() -> None:
    """A failure is one more thing that it would have done."""
    shadow = Policy(shadow=True, timeout=0.01)
    outcome = await Pipeline(input=[spec("g", late, shadow)]).input(Content("x"), context())
    assert outcome.verdicts == (Verdict(guard="g", note="shadow block: failed: TimeoutError"),)


def test_the_worst_action_wins() -> None:
    """Whichever guard says it, and in whichever order they answer."""
    assert set(WORST_FIRST) == set(get_args(Action))
    for rank, worst in enumerate(WORST_FIRST):
        verdicts = tuple(Verdict(guard=action, action=action) for action in reversed(WORST_FIRST[rank:]))
        assert PipelineResult(Content("x"), verdicts).action == worst
        assert PipelineResult(Content("x"), verdicts[::-1]).action == worst
        assert PipelineResult(Content("x"), verdicts).blocks is (worst == "block")
    assert WORST_FIRST == ("block", "review", "redact", "flag", "pass")


async def test_no_guard_clears_taint_or_moves_content() -> None:
    """Taint is provenance: what a guard makes of a text has the same source."""
    content = Content("x", channel="tool_result", tainted=True)
    outcome = await Pipeline(input=[spec("g", Told(GuardResult(text="y")), rewrites=True)]).input(content, context())
    assert outcome.content == Content("y", channel="tool_result", tainted=True)


async def test_what_a_guard_takes_out_stays_readable_for_detectors() -> None:
    """Hidden text must not be lost with the next rewriting."""
    detector = Told()
    guards = Pipeline(
        input=[
            spec("a", Told(GuardResult(text="one", hidden="obey")), rewrites=True),
            spec("b", Told(GuardResult(text="two")), rewrites=True),
            spec("d", detector),
        ]
    )
    await guards.input(Content("zero"), context())
    assert detector.asked[0].readings == ("two", "obey")


async def test_a_large_content_is_decoded_before_the_detectors_read_it() -> None:
    """Decoding a megabyte on the loop would hold up every other run."""
    detector = Told()
    for size, ready in ((LARGE, False), (LARGE + 1, True)):
        content = Content("x" * size)
        await Pipeline(input=[spec("d", detector)]).input(content, context())
        assert ("views" in vars(content)) is ready


async def test_evidence_and_note_are_bounded() -> None:
    """A verdict travels with the request; a million spans must not."""
    says = GuardResult(evidence=tuple((at, at + 1) for at in range(1_000)), note="n" * 1_000)
    outcome = await Pipeline(input=[spec("g", Told(says))]).input(Content("x" * 1_000), context())
    (verdict,) = outcome.verdicts
    assert verdict.evidence == tuple((at, at + 1) for at in range(EVIDENCE_LIMIT))
    assert len(verdict.note) == NOTE_LIMIT


def test_guards_of_a_stage_have_names_of_their_own() -> None:
    """A verdict names its guard, and two of a name would be one in every metric."""
    with pytest.raises(ValueError, match="share a name: g"):
        Pipeline(input=[spec("g", Told()), spec("g", Told())])
    Pipeline(input=[spec("g", Told())], output=[spec("g", Told())])


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_every_guard_has_a_deadline(seconds: float) -> None:
    """One that never ends would hold its lane for ever."""
    with pytest.raises(ValueError, match="timeout"):
        Policy(timeout=seconds)


async def test_no_verdict_of_ours_carries_content() -> None:
    """Verdicts are sealed, logged and audited; content lives nowhere but in the record."""
    hidden = "".join(chr(0xE0000 + ord(char)) for char in CANARY)
    content = Content(f"{CANARY}{hidden}\u202e{CANARY}")
    shipped = await normaliser().input(content, context())
    failed = await Pipeline(input=[spec("g", broken, OPEN), spec("h", broken, CLOSED)]).input(content, context())

    assert shipped.content.hidden == CANARY
    assert shipped.action == "flag"
    for outcome in (shipped, failed):
        assert CANARY not in repr(outcome)
        assert all(CANARY not in verdict.model_dump_json() for verdict in outcome.verdicts)


async def test_the_default_pipeline_normalises_what_comes_in() -> None:
    """Nothing is looked for unless somebody chooses it, but everything is in one spelling."""
    guards = normaliser()
    outcome = await guards.input(Content("Ｈｉ\u200b!"), context())
    assert outcome == PipelineResult(Content("Hi!"), (Verdict(guard="normalise"),))
    assert (await guards.output(Content("Ｈｉ"), context())).content.text == "Ｈｉ"


async def test_a_cancellation_of_long_ago_is_not_the_runs() -> None:
    """A task that lives long may carry a count: a guard that gives up in it has failed all the same."""

    async def gives_up(content: Content, context: StepContext) -> GuardResult:
        raise asyncio.CancelledError

    async def lane() -> PipelineResult:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return await Pipeline(input=[spec("g", gives_up)]).input(Content("x"), context())

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(lane())
        await asyncio.sleep(0)
        task.cancel()
    assert task.result().blocks


async def too_large(content: Content, context: StepContext) -> GuardResult:
    """Refuses the content itself."""
    raise TooLargeError


@pytest.mark.parametrize("rewrites", [True, False])
async def test_a_content_that_is_too_large_is_no_failure_of_its_guard(rewrites: bool) -> None:  # noqa: FBT001 - a parameter
    """The client is told so, also by one of several detectors."""
    guards = Pipeline(input=[spec("g", too_large, OPEN, rewrites=rewrites), spec("h", Told())])
    with pytest.raises(TooLargeError):
        await guards.input(Content("x"), context())


@dataclass
class Noted:
    """Notes measurements and spans."""

    measured: list[GuardEnded] = field(default_factory=list[GuardEnded])
    spans: list[tuple[str, dict[str, Attribute], str]] = field(
        default_factory=list[tuple[str, dict[str, Attribute], str]]
    )
    captures_content: bool = False
    traceparent: str | None = None
    failed: str = ""

    def record(self, measurement: Measurement) -> None:
        assert isinstance(measurement, GuardEnded)
        self.measured.append(measurement)

    @contextmanager
    def open(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute]) -> Generator[OpenSpan]:
        self.failed = ""
        yield self
        self.spans.append((name, dict(attributes), self.failed))

    def set(self, attributes: Mapping[str, Attribute]) -> None:
        raise AssertionError

    def fail(self, error_type: str) -> None:
        self.failed = error_type


async def test_each_verdict_is_measured() -> None:
    """A guard in shadow mode counts with the action that it would have taken."""
    noted = Noted()
    guards = Pipeline(
        tool=[
            spec("a", Told(GuardResult("redact", text="y")), rewrites=True),
            spec("b", Told(GuardResult("block")), Policy(shadow=True)),
            spec("c", broken, OPEN),
        ]
    )
    await guards.tool(Content("x"), replace(context(), meter=noted))

    assert [(each.stage, each.guard, each.action, each.shadow) for each in noted.measured] == [
        ("tool", "a", "redact", ""),
        ("tool", "b", "pass", "block"),
        ("tool", "c", "flag", ""),
    ]
    assert all(each.seconds > 0 for each in noted.measured)


@pytest.mark.parametrize(
    ("guard", "action", "failed"),
    [
        (Told(GuardResult("flag")), "flag", ""),
        (Told(GuardResult("block")), "block", "blocked"),
        (late, "block", "guard_unavailable"),
    ],
)
async def test_a_content_that_does_not_pass_has_a_span(guard: Guard, action: str, failed: str) -> None:
    """A trace shows which guard acted. Content that passes costs nothing."""
    noted = Noted()
    guards = Pipeline(input=[spec("g", guard, CLOSED), spec("quiet", Told())], output=[spec("quiet", Told())])
    for judge in (guards.output, guards.input):
        await judge(Content(CANARY), replace(context(), spans=noted))

    attributes = {
        "headrace.guard.stage": "input",
        "headrace.guard.action": action,
        "headrace.guard.verdicts": (f"g:{action}",),
    }
    assert noted.spans == [("guard input", attributes, failed)]


async def no_process(tenant: str, task: str, *texts: str) -> tuple[Any, ...]:
    """Text work without a process."""
    raise GuardUnavailableError


@pytest.mark.parametrize("rewrites", [True, False])
async def test_a_long_text_that_cannot_be_decoded_is_a_failure_of_those_who_read_it(rewrites: bool) -> None:  # noqa: FBT001 - a parameter
    """A guard that reads no views judges all the same."""
    reader = replace(spec("reader", Told(), CLOSED, rewrites=rewrites), reads_views=True)
    other = replace(spec("other", Told(GuardResult("flag"))), reads_views=False)
    outcome = await Pipeline(input=[other, reader], work=no_process).input(Content("x" * (LARGE + 1)), context())

    actions = {each.guard: each.action for each in outcome.verdicts}
    assert actions["reader"] == "block"
    assert outcome.unavailable == ("reader",)
    assert rewrites or actions["other"] == "flag"


async def test_a_shadow_guard_that_would_pass_says_nothing() -> None:
    """Its verdict is that of most contents."""
    guards = Pipeline(input=[spec("g", Told(GuardResult(score=0.1)), Policy(shadow=True))])
    assert (await guards.input(Content("x"), context())).verdicts == (Verdict(guard="g", score=0.1),)
