"""Build the steps of every journey."""

from __future__ import annotations

from consumers.agent.executor import Executor
from consumers.agent.services import AgentServices
from consumers.auth.authorize import Authorize
from consumers.guard.pipeline import PipelineOf
from consumers.guard.screen import Screen
from consumers.resilience.cancel import Cancels
from streams.journey import Steps
from streams.registry.tenants import TenantRegistry


def steps_of(registry: TenantRegistry, services: AgentServices, cancels: Cancels, pipelines: PipelineOf) -> Steps:
    """Return the steps that every journey consists of."""
    return Steps(
        authorize=Authorize(registry.agents),
        screen=Screen(pipelines),
        execute=Executor(services, cancels),
    )
