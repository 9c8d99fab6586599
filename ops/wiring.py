"""Build the steps of every journey."""

from __future__ import annotations

from collections.abc import Mapping

from consumers.agent.executor import Executor
from consumers.agent.models.port import Model
from consumers.agent.registry import AgentRegistry as Agents
from consumers.auth.authorize import Authorize
from consumers.guard.registry import default_pipeline
from consumers.guard.screen import Screen
from consumers.guard.text_tasks import TextWork
from consumers.guard.text_threads import text_thread
from consumers.resilience.cancel import Cancels
from consumers.resilience.thread_pool import ThreadPool
from streams.journey import Steps
from streams.registry.tenants import TenantRegistry


def steps_of(
    registry: TenantRegistry,
    agents: Agents,
    models: Mapping[str, Model],
    cancels: Cancels,
    text_work: TextWork = text_thread,
    threads: ThreadPool | None = None,
) -> Steps:
    """Return the steps that every journey consists of. The guards give long texts to *text_work*.

    Agents that are plain functions run in *threads*.
    """
    return Steps(
        authorize=Authorize(registry.agents),
        screen=Screen(default_pipeline(text_work)),
        execute=Executor(agents, models, cancels=cancels, threads=threads or ThreadPool()),
    )
