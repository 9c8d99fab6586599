"""The guards of an answer before it leaves: a text as it is, any other JSON value field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json, to_json

from consumers.agent.agents import Agent
from consumers.agent.guarded_fields import judge_fields
from consumers.agent.journal.port import ENTRY_LIMIT
from consumers.agent.provenance import Source
from consumers.agent.run import Run
from consumers.agent.run_state import RunState
from consumers.agent.seams import GuardedText, pass_text
from consumers.agent.step_values import GuardStep, decode, encode
from schemas.errors import BlockedError

STEP = "answer.guard"


@dataclass(frozen=True, slots=True)
class AnswerGuard:
    """Passes the answer of one run on, redacted if need be."""

    state: RunState
    agent: Agent
    run: Run

    async def __call__(self, output: Any) -> Any:  # noqa: ANN401 - JSON
        """Return the output as the user may read it, with placeholders. A resumed run returns what it has recorded.

        Raises BlockedError if a guard refuses it, GuardUnavailableError if a guard cannot judge it now.
        """
        if self.state.services.output_guard is pass_text:
            return output
        recorded = self.state.steps.finished(STEP)
        step = await self._judged(output) if recorded is None else decode(GuardStep, recorded)
        self.state.note_verdicts(step.verdicts)
        self.state.placeholders.keep(step.placeholders)
        if step.refusal:
            raise BlockedError(step.refusal)
        return step.text if isinstance(output, str) else from_json(step.text)

    async def _judged(self, output: Any) -> GuardStep:  # noqa: ANN401 - as above
        placeholders, known = self.state.placeholders, dict(self.state.placeholders.known)
        if isinstance(output, str):
            guarded = await self._text(output, known)
            changed = guarded.text != output
        else:
            fields = await judge_fields(output, self._text, known)
            written = to_json(fields.value).decode()
            guarded = GuardedText(written, fields.placeholders, fields.verdicts, fields.refusal)
            changed = fields.value is not output
        text = placeholders.take_guarded(guarded, known)
        step = GuardStep(
            text=text, verdicts=guarded.verdicts, placeholders=placeholders.within(text), refusal=guarded.refusal
        )
        value = encode(step)
        if self.state.recorded and (guarded.verdicts or changed) and len(value) <= ENTRY_LIMIT:
            await self.state.steps.finish(STEP, value)
        return step

    async def _text(self, text: str, known: Mapping[str, str]) -> GuardedText:
        source, told = Source(kind="agent", name=self.run.agent), "\n".join(self.state.instructions.values())
        scope = replace(self.state.scope(self.run, self.agent), placeholders=known, instructions=told)
        return await self.state.services.output_guard(text, source, scope)
