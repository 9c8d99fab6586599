"""The services that all runs of a worker share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from consumers.agent.journal.port import Journal
from consumers.agent.memory.port import SessionMemory
from consumers.agent.middleware import Middleware
from consumers.agent.models.port import Model
from consumers.agent.planners.port import Planner
from consumers.agent.planners.registry import PLANNERS
from consumers.agent.registry import AgentRegistry
from consumers.agent.seams import (
    ContentGuard,
    ModelBudget,
    ToolGuard,
    ToolPolicy,
    pass_arguments,
    pass_text,
    unlimited,
)
from consumers.agent.taint import base_policy
from consumers.resilience.retry import Retry
from consumers.resilience.thread_pool import ThreadPool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentServices:
    """The agents of a worker, and the services that their runs use."""

    agents: AgentRegistry
    models: Mapping[str, Model]
    """Models by the names that agents use."""

    planners: Mapping[str, Planner] = field(default_factory=lambda: PLANNERS)
    journal: Journal | None = None
    """Required for agents with tools, handoffs, delegates or memory."""

    memory: SessionMemory | None = None
    """Required for agents with session memory."""

    retry: Retry = field(default_factory=Retry)
    middleware: tuple[Middleware, ...] = ()
    """Wrappers of all operations, outside those of the agents."""

    policy: ToolPolicy = base_policy
    tool_guard: ToolGuard = pass_arguments
    input_guard: ContentGuard = pass_text
    """For tool results and memory, before a model reads them."""

    output_guard: ContentGuard = pass_text
    """For answers, before they leave."""

    budget: ModelBudget = unlimited
    threads: ThreadPool = field(default_factory=ThreadPool)
    """Runs the agents and tools that are plain functions."""
