"""Build the seals, and the steps of every journey, from the settings."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from consumers.agent.executor import Executor
from consumers.agent.models.port import Model
from consumers.agent.registry import AgentRegistry as Agents
from consumers.auth.authorize import Authorize
from consumers.guard.registry import default_pipeline
from consumers.guard.screen import Screen
from consumers.resilience.cancel import Cancels
from ops.errors import InvalidError, NoSealError
from ops.settings import Settings
from schemas.seals import Seals
from streams.journey import Steps
from streams.registry.tenants import TenantRegistry

SECRET_BYTES = 16


def seals_of(settings: Settings, registry: TenantRegistry, cluster: str) -> Seals:
    """Return seals with the operator's secrets, else with the one in the registry.

    Only a broker on this machine may hold a secret. Raises NoSealError without either.
    """
    if settings.seal_secret is not None:
        return Seals(_secrets(settings.seal_secret.get_secret_value()), cluster)
    if registry.secret is None or not settings.on_loopback:
        raise NoSealError
    return Seals({registry.secret.kid: registry.secret.secret}, cluster)


def _secrets(text: str) -> Mapping[str, bytes]:
    return dict(_secret(part.strip()) for part in text.split(","))


def _secret(text: str) -> tuple[str, bytes]:
    kid, _, encoded = text.partition(":")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except ValueError:
        secret = b""
    if not (kid.isascii() and kid.isalnum()) or len(secret) < SECRET_BYTES:
        message = f"HEADRACE_SEAL_SECRET is not KID:BASE64 of {SECRET_BYTES} bytes or more, comma-separated"
        raise InvalidError(message)
    return kid, secret


def steps_of(registry: TenantRegistry, agents: Agents, models: Mapping[str, Model], cancels: Cancels) -> Steps:
    """Return the steps that every journey consists of."""
    return Steps(
        authorize=Authorize(registry.agents),
        screen=Screen(default_pipeline()),
        execute=Executor(agents, models, cancels=cancels),
    )
