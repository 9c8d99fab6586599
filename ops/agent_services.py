"""Open the services of agents: plugins, models, stores and threads. A worker and its process for suspects share it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from consumers.agent.registry import AgentRegistry as Agents
from consumers.agent.services import AgentServices
from consumers.guard.pipeline import PipelineOf
from consumers.resilience.thread_pool import ThreadPool
from ops.agent_budgets import agent_budget
from ops.agent_guards import AgentGuards
from ops.agent_plugins import installed_plugins, model_factories, used_plugins
from ops.agent_stores import agent_stores
from ops.agents import models_of
from ops.budget_watch import BudgetWatch
from ops.settings import Settings
from schemas.clock import Clock


@asynccontextmanager
async def agent_services(
    settings: Settings,
    clock: Clock,
    agents: Agents,
    threads: ThreadPool,
    pipelines: PipelineOf,
    watch: BudgetWatch | None = None,
    *,
    odd: Callable[[str], None] = lambda _: None,
    unpriced: Callable[[], None] = lambda: None,
) -> AsyncGenerator[AgentServices]:
    """Yield the services of *agents* for the block, with the guards of *pipelines*.

    *odd* and *unpriced* are those of ``models_of``.

    *watch* is told about the store of budgets.

    Raises AgentsError for a plugin that cannot be used, UsageError for a missing or unfit store.
    """
    installed, guards = installed_plugins(), AgentGuards(pipelines)
    plugins, factories = used_plugins(agents, installed), model_factories(agents, installed)
    async with (
        models_of(settings, clock, factories, odd, unpriced) as models,
        agent_stores(settings, clock, agents) as stores,
        agent_budget(settings, clock, watch or BudgetWatch()) as budget,
    ):
        yield AgentServices(
            agents=agents,
            models=models,
            planners=plugins.planners,
            middleware=plugins.middleware,
            journal=stores.journal,
            memory=stores.memory,
            tool_guard=guards.arguments,
            input_guard=guards.read,
            output_guard=guards.answer,
            budget=budget,
            threads=threads,
        )
