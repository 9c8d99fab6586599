"""The guards of a streamed answer or tool call, made of the settings that the pipeline of its tenant has.

A guard in shadow mode only reports, so it has no part in a stream. The verdicts on an answer are those of the pipeline,
which also judges the whole of it at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from consumers.guard.content import Content
from consumers.guard.registry import UNCHANGED, GuardConfigError, GuardRegistry
from consumers.guard.stream import StreamGuard, StreamStage
from consumers.guard.stream_arguments import StreamArguments
from consumers.guard.stream_normaliser import SurrogatePairs
from schemas.guards import GuardStage, TenantGuards


def stream_guard(registry: GuardRegistry, content: Content, tenant: TenantGuards = UNCHANGED) -> StreamGuard:
    """Return the guard of one answer. *content* has all but its text.

    Raise GuardConfigError if a guard of the stage ``output`` cannot judge streams: send the answer as a whole then.
    """
    return _guard(registry, "output", replace(content, text=""), tenant, "")


def stream_arguments(registry: GuardRegistry, content: Content, tenant: TenantGuards = UNCHANGED) -> StreamArguments:
    """Return the guard of the arguments of one tool call, as its JSON is written. It has the guards of an answer."""
    empty = replace(content, text="")
    _guard(registry, "output", empty, tenant, "")  # raises for settings that cannot be used
    return StreamArguments(lambda context: _guard(registry, "output", empty, tenant, context))


def _guard(
    registry: GuardRegistry, stage: GuardStage, content: Content, tenant: TenantGuards, context: str
) -> StreamGuard:
    return StreamGuard([SurrogatePairs(), *_stages(registry, stage, content, tenant, context)])


def _stages(
    registry: GuardRegistry, stage: GuardStage, content: Content, tenant: TenantGuards, context: str
) -> Iterator[StreamStage]:
    chosen = registry.settings(stage, tenant)
    plugins = {name: registry.plugins[name] for name in chosen}
    for name in sorted(chosen, key=lambda each: not plugins[each].rewrites):  # as the pipeline runs them
        plugin, settings = plugins[name], chosen[name]
        if settings.shadow if settings.shadow is not None else plugin.policy.shadow:
            continue
        if plugin.stream is None:
            raise GuardConfigError(f"guard {stage}:{name}: it cannot judge a stream")
        yield from plugin.stream(plugin.config.model_validate(settings.config), content, context)
