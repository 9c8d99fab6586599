"""Read guard settings from a file, and make the registry of guards that the settings ask for."""

from __future__ import annotations

from pathlib import Path

import structlog
from pydantic import ValidationError

from consumers.guard.injection.guard import injection_plugin
from consumers.guard.registry import UNCHANGED, GuardConfigError, GuardRegistry
from consumers.guard.text_tasks import TextWork
from consumers.guard.text_threads import text_thread
from consumers.guard.toxicity.guard import toxicity_plugin
from ops.agent_plugins import installed_plugins
from ops.errors import InvalidError
from ops.guard_judge import judge_model
from ops.guard_plugins import installed_guards
from ops.settings import Settings
from schemas.guards import TenantGuards
from schemas.tenants import Tenant

log = structlog.get_logger()


def guards_in(file: Path) -> TenantGuards:
    """Return the guard settings in a JSON file. Raise InvalidError, one line, if it has none."""
    try:
        return TenantGuards.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InvalidError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InvalidError(f"{file}: {fault_in(error)}") from error


def fault_in(error: ValidationError) -> str:
    """Return the first fault of guard settings: its place and what is wrong, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def guard_registry(settings: Settings, work: TextWork = text_thread) -> GuardRegistry:
    """Return the installed guards with the platform's settings. Raise InvalidError if these cannot be used."""
    installed = installed_guards(installed_plugins())
    platform = UNCHANGED if settings.guards is None else _platform(settings.guards)
    ask = judge_model(settings)
    judged = {each.name: each for each in (injection_plugin(ask), toxicity_plugin(ask))}
    registry = GuardRegistry(work, {**installed.plugins, **judged}, platform, failed=installed.failed)
    if platform != UNCHANGED:  # else nothing can be wrong, and a stage that judges nothing makes no guard
        try:
            registry.check(platform)
        except GuardConfigError as error:
            raise InvalidError(f"HEADRACE_GUARDS: {settings.guards}: {error}") from error
    for name, fault in installed.failed.items():
        log.warning("guard_plugin_failed", guard=name, error=fault)
    return registry


def _platform(file: Path) -> TenantGuards:
    try:
        return guards_in(file)
    except InvalidError as error:
        raise InvalidError(f"HEADRACE_GUARDS: {error}") from error


def check_guards(settings: Settings, tenant: Tenant) -> None:
    """Raise InvalidError if a worker with these settings and packages could not use the tenant's guards."""
    try:
        guard_registry(settings).check(tenant.guards)
    except GuardConfigError as error:
        raise InvalidError(str(error)) from error
