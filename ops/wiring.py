"""Build the steps of every journey."""

from __future__ import annotations

from consumers.agent.executor import Executor
from consumers.agent.services import AgentServices
from consumers.auth.authorize import Authorize
from consumers.guard.registry import default_pipeline
from consumers.guard.screen import Screen
from consumers.guard.text_tasks import TextWork
from consumers.guard.text_threads import text_thread
from consumers.resilience.cancel import Cancels
from streams.journey import Steps
from streams.registry.tenants import TenantRegistry


def steps_of(
    registry: TenantRegistry, services: AgentServices, cancels: Cancels, text_work: TextWork = text_thread
) -> Steps:
    """Return the steps that every journey consists of. The guards give long texts to *text_work*."""
    return Steps(
        authorize=Authorize(registry.agents),
        screen=Screen(default_pipeline(text_work)),
        execute=Executor(services, cancels),
    )
