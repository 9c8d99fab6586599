"""The guards that are installed, and the pipelines that settings make of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_args

from pydantic import ValidationError

from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import GuardSpec
from consumers.guard.injection.guard import INJECTION
from consumers.guard.leak import LEAK
from consumers.guard.links import LINKS
from consumers.guard.normalise import NORMALISE
from consumers.guard.pii.guard import PII
from consumers.guard.pipeline import Pipeline
from consumers.guard.secrets.guard import SECRETS
from consumers.guard.text_tasks import TextWork
from consumers.guard.text_threads import text_thread
from consumers.guard.toxicity.guard import TOXICITY
from schemas.guards import GuardSettings, GuardStage, TenantGuards

Plugins: TypeAlias = Mapping[str, GuardPlugin[Any]]

OWN: Final[tuple[GuardPlugin[Any], ...]] = (NORMALISE, SECRETS, PII, INJECTION, LEAK, LINKS, TOXICITY)
"""Headrace's own guards."""

DEFAULTS: Final[Mapping[GuardStage, tuple[str, ...]]] = MappingProxyType(
    {
        "input": ("normalise", "secrets", "pii", "injection"),
        "tool": ("secrets", "pii"),
        "output": ("secrets", "pii", "leak", "links"),
    }
)
"""The guards of each stage that run unless the settings say otherwise, in this order."""

STAGES: Final[tuple[GuardStage, ...]] = get_args(GuardStage)

PROBLEMS_SHOWN: Final = 5
"""Problems that one error names: settings may have thousands."""

UNCHANGED: Final = TenantGuards()
"""Settings that change nothing."""


class GuardConfigError(ValueError):
    """The settings name guards or configurations that cannot be used. The message is one line, without values."""


def by_name(plugins: Iterable[GuardPlugin[Any]] = OWN) -> Plugins:
    """Return the plugins by their names."""
    return {plugin.name: plugin for plugin in plugins}


@dataclass(frozen=True, slots=True)
class GuardRegistry:
    """The installed guards with the platform's settings."""

    work: TextWork = text_thread
    """Runs the work on long texts."""

    plugins: Plugins = field(default_factory=by_name)
    platform: TenantGuards = UNCHANGED
    """The settings for all tenants. Those of a tenant change single fields of them."""

    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    """The installed guards that cannot be loaded, with the error of each."""

    defaults: Mapping[GuardStage, tuple[str, ...]] = field(default_factory=lambda: DEFAULTS)

    def pipeline(self, tenant: TenantGuards = UNCHANGED) -> Pipeline:
        """Return the pipeline of a tenant with these settings. Raise GuardConfigError if they cannot be used."""
        problems: list[str] = []
        stages = {stage: tuple(self._specs(stage, tenant, problems)) for stage in STAGES}
        if problems:
            raise GuardConfigError(_first(problems, "; "))
        return Pipeline(**stages, work=self.work)

    def check(self, tenant: TenantGuards) -> None:
        """Raise GuardConfigError if a tenant's settings cannot be used, or if they turn off a guard that is unknown."""
        self.pipeline(tenant)
        known = {*self.plugins, *self.failed}
        for stage in STAGES:
            if unknown := sorted(set(tenant.at(stage)) - known):
                raise GuardConfigError(f"guard {stage}:{unknown[0]}: {self._unknown()}")

    def settings(self, stage: GuardStage, tenant: TenantGuards = UNCHANGED) -> dict[str, GuardSettings]:
        """Return the settings of every guard that runs at a stage, in order."""
        platform, own = self.platform.at(stage), tenant.at(stage)
        names = dict.fromkeys((*self.defaults[stage], *platform, *own))
        merged = {name: _merged(platform.get(name), own.get(name)) for name in names}
        return {name: settings for name, settings in merged.items() if settings.enabled}

    def _specs(self, stage: GuardStage, tenant: TenantGuards, problems: list[str]) -> Iterator[GuardSpec]:
        for name, settings in self.settings(stage, tenant).items():
            try:
                yield self._spec(name, stage, settings)
            except GuardConfigError as error:
                problems.append(f"guard {stage}:{name}: {error}")

    def _spec(self, name: str, stage: GuardStage, settings: GuardSettings) -> GuardSpec:
        plugin = self._plugin(name)
        if stage not in plugin.stages:
            raise GuardConfigError(f"it cannot be used at this stage, only at {', '.join(sorted(plugin.stages))}")
        given = settings.model_dump(include={"shadow", "failure", "timeout"}, exclude_none=True)
        return GuardSpec(
            name=name,
            guard=_made(plugin, stage, settings.config, self.work),
            rewrites=plugin.rewrites,
            policy=plugin.policy.model_copy(update=given),
            reads_views=plugin.reads_views,
        )

    def _plugin(self, name: str) -> GuardPlugin[Any]:
        if name in self.failed:
            raise GuardConfigError(f"it cannot be loaded: {self.failed[name]}")
        if name not in self.plugins:
            raise GuardConfigError(self._unknown())
        return self.plugins[name]

    def _unknown(self) -> str:
        return f"no guard of this name is installed; there are {', '.join(sorted(self.plugins))}"


def _merged(platform: GuardSettings | None, tenant: GuardSettings | None) -> GuardSettings:
    """Return the platform's settings with the tenant's changes. ``config`` is merged by its fields."""
    if platform is None or tenant is None:
        return tenant or platform or GuardSettings()
    changes = tenant.model_dump(exclude_none=True, exclude={"config"})
    return platform.model_copy(update={**changes, "config": {**platform.config, **tenant.config}})


def _made(plugin: GuardPlugin[Any], stage: GuardStage, config: Mapping[str, Any], work: TextWork) -> Any:  # noqa: ANN401 - a plugin's
    try:
        return plugin.make(plugin.config.model_validate(config), stage, work)
    except ValidationError as error:
        raise GuardConfigError(_faults(error)) from None  # its text quotes the values
    except ValueError as error:
        raise GuardConfigError(" ".join(str(error).split())) from error
    except Exception as error:
        raise GuardConfigError(f"it cannot be made: {type(error).__name__}") from error


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    told = [f"{'.'.join(map(str, ('config', *each['loc'])))}: {each['msg']}" for each in faults]
    return _first(told, ", ")


def _first(problems: Sequence[str], separator: str) -> str:
    """Return the first problems in one line, and the number of the others."""
    more = len(problems) - PROBLEMS_SHOWN
    return separator.join([*problems[:PROBLEMS_SHOWN], *([f"and {more} more"] if more > 0 else [])])
