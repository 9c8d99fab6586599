"""One model call of a run: journaled, within limits and budget, retried, and counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from consumers.agent.agents import Agent
from consumers.agent.genai import AgentTelemetry, name_of
from consumers.agent.history import valid, with_unique_ids
from consumers.agent.journal.port import ENTRY_LIMIT
from consumers.agent.middleware import Operation
from consumers.agent.models.port import Model, ModelRequest, ModelResponse, ModelUsage, usage_of
from consumers.agent.paid_call import Reserve, send, settle_failed
from consumers.agent.run import Run
from consumers.agent.run_state import RunState
from consumers.agent.step_values import ModelStep, decode, encode
from consumers.spending import Spending, SpendShare
from schemas.errors import InternalError, ModelError, ModelUnreadableError


@dataclass(frozen=True, slots=True)
class ModelCaller:
    """Makes the model calls of one agent in one run."""

    state: RunState
    agent: Agent
    telemetry: AgentTelemetry

    async def __call__(self, run: Run, request: ModelRequest, step: str) -> ModelResponse:
        """Return the model's answer: the recorded one if the journal has the step.

        Raises StepsExhaustedError at a limit, the last ModelError after the retries, and ExpiredError at the deadline.
        """
        recorded = self.state.steps.finished(step)
        if recorded is not None:
            return self._replayed(run, decode(ModelStep, recorded))
        self.state.check_limits(run)
        self.state.steps.may_start()
        response = await self._asked(run, replace(request, messages=valid(request.messages)), step)
        await self._record(run, response, step)
        return response

    def _replayed(self, run: Run, recorded: ModelStep) -> ModelResponse:
        """Return a recorded answer. The usage of earlier attempts came with the request; that of this one did not."""
        self.state.model_calls += 1
        if recorded.attempt == run.attempt:
            count(run.spending, recorded.model, recorded.response.usage, recorded.share)
        return recorded.response

    async def _asked(self, run: Run, request: ModelRequest, step: str) -> ModelResponse:
        chain = self.state.chain(self.agent, self._complete)
        response: ModelResponse = await chain(Operation("model", self.agent.model, request, run, step))
        if len({call.id for call in response.tool_calls}) < len(response.tool_calls):
            return replace(response, tool_calls=with_unique_ids(response.tool_calls))
        return response

    async def _complete(self, operation: Operation) -> ModelResponse:
        run, services = operation.run, self.state.services
        model = services.models.get(self.agent.model)
        if model is None:
            raise InternalError(f"this worker has no model named {self.agent.model!r}")
        reserve = partial(services.budget, scope=self.state.scope(run, self.agent))
        attempts = Attempts(model, operation, self.agent.name, self.telemetry, self.state, reserve)
        return await services.retry(attempts, run.deadline, self.state.context.waiting)

    async def _record(self, run: Run, response: ModelResponse, step: str) -> None:
        if not self.state.recorded:
            return
        value = encode(ModelStep.of(response, self.agent.name, run.attempt, self.state.shares.get(step)))
        if len(value) <= ENTRY_LIMIT:
            await self.state.steps.finish(step, value)
        elif response.tool_calls:
            raise ModelUnreadableError(f"the model's tool calls are longer than {ENTRY_LIMIT} bytes")


def count(spending: Spending, model: str, usage: ModelUsage, share: SpendShare | None) -> None:
    """Count one answered call of a model. *model* is the provider's name."""
    spending.add(
        usage.input_tokens,
        usage.output_tokens,
        model=model,
        cached_input_tokens=usage.cached_input_tokens,
        cost_pico=usage.cost_pico,
        share=share,
    )


@dataclass(slots=True)
class Attempts:
    """The attempts of one model call. Each has a span of its own, and counts what was answered, of use or not."""

    model: Model
    operation: Operation
    agent: str
    """The agent that makes the call, which may have taken the run over."""

    telemetry: AgentTelemetry
    state: RunState
    reserve: Reserve
    number: int = 0

    async def __call__(self) -> ModelResponse:
        """Make one attempt. A middleware or the wait before it may have lasted beyond the worker's session."""
        self.state.steps.may_start()
        self.number += 1
        request: ModelRequest = self.operation.value
        spending, named = self.operation.run.spending, name_of(self.model)
        reserved = await self.reserve(request, named, call=f"{self.operation.step}/{self.number}")
        await send(reserved)
        share = SpendShare(self.agent, reserved.day, reserved.generation)
        self.state.shares[self.operation.step] = share
        with self.telemetry.chat(
            model=named,
            step=self.operation.step,
            attempt=self.number,
            messages=request.messages,
            temperature=request.temperature,
            max_tokens=request.max_output_tokens,
        ) as chat:
            try:
                response = await self.model.complete(
                    replace(request, traceparent=chat.traceparent or request.traceparent)
                )
            except ModelUnreadableError as error:
                chat.tokens(error.input_tokens, error.output_tokens)
                count(spending, error.model, usage_of(error), share)
                await settle_failed(reserved, error)
                raise
            except ModelError as error:
                await settle_failed(reserved, error)
                raise
            chat.respond(response)
            count(spending, response.model, response.usage, share)
            await reserved.settle(response.usage)
        return response
