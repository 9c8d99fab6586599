"""The session memory of a run: read once at its start, and written once before its result."""

from __future__ import annotations

from pydantic_core import to_json

from consumers.agent.agents import Agent
from consumers.agent.conversation import Turn
from consumers.agent.genai import AgentTelemetry
from consumers.agent.memory.exchanges import decoded, encoded
from consumers.agent.memory.port import MemoryEntry, MemoryScope, SessionMemory
from consumers.agent.memory.summary import needs_summary, shortlist, summary_entry, summary_request, with_summary
from consumers.agent.memory.window import history_messages, window
from consumers.agent.middleware import Operation
from consumers.agent.model_step import ModelCaller
from consumers.agent.provenance import Source
from consumers.agent.run import Run
from consumers.agent.run_state import RunState
from consumers.agent.seams import GuardedText
from consumers.agent.step_values import GuardStep, decode, encode
from consumers.agent.taint import taint_of
from schemas.errors import BlockedError, InternalError, MemoryUnavailableError, ModelError
from schemas.results import VerdictInfo

STEP, GUARD_STEP, SUMMARY_STEP = "memory.session", "memory.guard", "memory.summary"


async def recall(state: RunState, agent: Agent, run: Run) -> None:
    """Read the session into the state. A resumed run reads the history that its journal has.

    Exchanges beyond the agent's window become a summary. If the model cannot write one, the run goes on without it.
    Raises MemoryUnavailableError.
    """
    if "session" not in agent.memory or not run.session:
        return
    limit = agent.memory_tokens
    entries = await _entries(state, agent, run, limit)
    for entry in entries:
        state.placeholders.keep(entry.placeholders)
        if entry.source.kind == "user":
            state.placeholders.note_own(entry.placeholders)
    if needs_summary(entries, limit):
        state.summary = await _summary(state, agent, run, entries)
    found = window(with_summary(entries, state.summary), limit)
    state.summarised = found.summary.text if found.summary else ""
    entries = (*([found.summary] if found.summary else []), *found.kept)
    state.history = [Turn(each, entry.source) for entry, each in zip(entries, history_messages(found), strict=True)]
    for entry in entries:
        state.read.note(entry.source, *entry.origins)
    state.remembers = True


async def _entries(state: RunState, agent: Agent, run: Run, limit: int) -> tuple[MemoryEntry, ...]:
    recorded = state.steps.finished(STEP)
    if recorded is not None:
        state.note_verdicts(_verdicts_of_journal(state))
        return _of_journal(recorded)

    async def load(operation: Operation) -> tuple[MemoryEntry, ...]:
        return await _memory(state).load(operation.value)

    found = await state.chain(agent, load)(Operation("memory", "session", scope_of(run), run, STEP))
    verdicts: list[VerdictInfo] = []
    used = shortlist(found, limit)
    for entry in used:
        state.placeholders.keep(entry.placeholders)
    guarded = tuple([await _guarded(state, agent, run, each, verdicts) for each in used])
    if verdicts:
        await state.steps.finish(GUARD_STEP, encode(GuardStep(verdicts=tuple(verdicts))))
    await state.steps.finish(STEP, encoded(guarded))
    state.note_verdicts(verdicts)
    return guarded


def _verdicts_of_journal(state: RunState) -> tuple[VerdictInfo, ...]:
    recorded = state.steps.finished(GUARD_STEP)
    found: GuardStep | None = None if recorded is None else decode(GuardStep, recorded)
    return found.verdicts if found else ()


def _of_journal(recorded: bytes) -> tuple[MemoryEntry, ...]:
    try:
        return decoded(recorded)
    except MemoryUnavailableError as error:  # another attempt reads the same
        raise InternalError("the journal has a session that this worker cannot read") from error


async def _guarded(
    state: RunState, agent: Agent, run: Run, entry: MemoryEntry, verdicts: list[VerdictInfo]
) -> MemoryEntry:
    """Return the entry as the model may read it. A refused text is replaced, so that its exchange stays whole."""
    entry = _rewritten(state, entry, state.placeholders.take(entry.text, entry.placeholders))
    clean, scope = not taint_of((entry.source, *entry.origins)), state.scope(run, agent)
    source = Source(kind="memory", name=run.session or "", trusted=clean)
    try:
        guarded = await state.services.input_guard(entry.text, source, scope)
    except BlockedError as error:
        guarded = GuardedText("", refusal=error.public_message)
    verdicts += guarded.verdicts
    if guarded.refusal:
        return entry.model_copy(update={"text": f"[removed: {guarded.refusal}]"})
    text = state.placeholders.take_guarded(guarded, scope.placeholders)
    return entry if text == entry.text else _rewritten(state, entry, text)


def _rewritten(state: RunState, entry: MemoryEntry, text: str) -> MemoryEntry:
    """Return the entry with a text of this run's placeholders. Those that it keeps for a summary stay."""
    values = set(entry.placeholders.values())
    others = {name: value for name, value in state.placeholders.known.items() if value in values}
    return entry.model_copy(update={"text": text, "placeholders": {**others, **state.placeholders.within(text)}})


async def _summary(state: RunState, agent: Agent, run: Run, entries: tuple[MemoryEntry, ...]) -> MemoryEntry | None:
    limit = agent.memory_tokens
    telemetry = AgentTelemetry.of(state.context, agent=agent.name, run_id=run.run_id, session=run.session)
    try:
        response = await ModelCaller(state, agent, telemetry)(run, summary_request(entries, limit), SUMMARY_STEP)
    except ModelError:
        return None
    entry = summary_entry(
        entries, limit, response.text, model=response.model, run_id=run.run_id, at_ms=run.clock.now_ms()
    )
    return entry and entry.model_copy(update={"placeholders": state.placeholders.within(entry.text)})


async def remember(state: RunState, run: Run, output: object) -> None:
    """Add the run's question and answer to its session, once however often it is called for the run."""
    if not state.remembers:
        return
    answer = output if isinstance(output, str) else to_json(output).decode()
    now_ms = run.clock.now_ms()
    asked = MemoryEntry(
        role="user",
        text=run.request.text,
        source=Source(kind="user", name=run.subject),
        placeholders=_own_within(state, run.request.text, state.summarised),
        run_id=run.run_id,
        at_ms=now_ms,
    )
    said = MemoryEntry(
        role="assistant",
        text=answer,
        source=Source(kind="agent", name=state.handoffs[-1] if state.handoffs else run.agent),
        origins=state.read.ordered,
        placeholders=state.placeholders.within(answer),
        run_id=run.run_id,
        at_ms=now_ms,
    )
    await _memory(state).append(scope_of(run), run.run_id, (asked, said), summary=state.summary)


def _own_within(state: RunState, *texts: str) -> dict[str, str]:
    own = state.placeholders.own
    return {name: value for name, value in state.placeholders.within(*texts).items() if name in own}


def scope_of(run: Run) -> MemoryScope:
    """Return the owner of the run's session memory."""
    return MemoryScope(run.tenant.id, run.subject, run.session or "", run.issuer)


def _memory(state: RunState) -> SessionMemory:
    if state.services.memory is None:
        raise InternalError("an agent of this worker has session memory, and the worker has no store for it")
    return state.services.memory
