"""A change of a tenant's record takes effect at once, and an unusable one never leaves the tenant without guards."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from consumers.guard import tenant_pipelines
from consumers.guard.content import Content
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Guard, GuardResult
from consumers.guard.pipeline import Pipeline
from consumers.guard.registry import GuardConfigError, GuardRegistry, by_name
from consumers.guard.tenant_pipelines import RETRY_S, Recent, TenantPipelines
from consumers.guard.text_tasks import TextWork
from schemas.errors import GuardUnavailableError
from schemas.guards import GuardSettings, GuardStage, TenantGuards
from schemas.models import Payload
from schemas.tenants import Tenant
from tests.unit.consumers.guard.fakes import NOW_MS, context

pytestmark = pytest.mark.anyio


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    seconds: float = 0.0

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return self.seconds


class WordConfig(Payload):
    word: str = "usual"


@dataclass
class Maker:
    """A kind of guard that counts how often it is made. It cannot be made while ``fails``."""

    made: list[str] = field(default_factory=list[str])
    fails: bool = False
    release: threading.Event | None = None

    def __call__(self, config: WordConfig, stage: GuardStage, work: TextWork) -> Guard:
        if self.release is not None and config.word == "slow":
            self.release.wait(10)
        if self.fails and config.word != "usual":
            raise ValueError("not now")
        self.made.append(config.word)

        async def guard(content: Content, _: object) -> GuardResult:
            return GuardResult("flag", note=config.word)

        return guard


def tenant(word: str | None = None, name: str = "acme") -> Tenant:
    """A tenant whose guard has this configuration; None: it has none of its own."""
    if word is None:
        return Tenant(id=name)
    return Tenant(id=name, guards=TenantGuards(input={"g": GuardSettings(config={"word": word})}))


BROKEN = Tenant(id="acme", guards=TenantGuards(input={"missing": GuardSettings()}))


def pipelines(maker: Maker, clock: SetClock | None = None) -> TenantPipelines:
    """The pipelines of a platform with one guard."""
    plugin: GuardPlugin[Any] = GuardPlugin("g", WordConfig, maker)
    registry = GuardRegistry(plugins=by_name([plugin]), defaults={"input": ("g",), "tool": (), "output": ()})
    return TenantPipelines(registry, clock or SetClock())


async def word_of(pipeline: Pipeline) -> str:
    """The configuration that a pipeline runs with."""
    return (await pipeline.input(Content("x"), context())).verdicts[0].note


async def test_a_changed_record_takes_effect_with_the_next_request() -> None:
    """No restart: the registry gives the newest record."""
    of = pipelines(Maker())
    words = [await word_of(await of(tenant(word))) for word in (None, "one", "two", None)]
    assert words == ["usual", "one", "two", "usual"]


async def test_a_pipeline_is_made_once_for_equal_settings() -> None:
    """A thousand tenants of one plan must not load a model a thousand times."""
    maker = Maker()
    of = pipelines(maker)
    for name in ("a", "b", "a", "c"):
        await of(tenant("one", name))
    assert maker.made == ["one"]


async def test_requests_that_wait_for_a_pipeline_make_it_once() -> None:
    """A burst after a change is usual."""
    maker = Maker()
    of = pipelines(maker)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(of(tenant("one"))) for _ in range(20)]
    assert len({id(task.result()) for task in tasks}) == 1
    assert maker.made == ["one"]


async def test_an_unusable_record_keeps_the_last_good_pipeline() -> None:
    """The tenant stays guarded as before, and the metric shows it until the record is corrected."""
    of = pipelines(Maker())
    assert await word_of(await of(tenant("one"))) == "one"

    assert await word_of(await of(BROKEN)) == "one"
    assert of.unusable == {"acme"}

    assert await word_of(await of(tenant("two"))) == "two"
    assert of.unusable == set()


async def test_a_corrected_or_removed_tenant_is_not_counted_any_more() -> None:
    """An alarm ends without a further request of the tenant."""
    of = pipelines(Maker())
    with pytest.raises(GuardUnavailableError):
        await of(BROKEN)

    assert of.count_unusable({"acme": BROKEN}) == 1
    assert of.count_unusable({"acme": tenant("one")}) == 0
    assert of.count_unusable({"acme": BROKEN.model_copy(update={"state": "removed"})}) == 0
    assert of.count_unusable({}) == 0


async def test_the_defaults_are_a_last_good_pipeline() -> None:
    """A tenant that had no settings of its own was guarded all the same."""
    of = pipelines(Maker())
    await of(tenant())
    assert await word_of(await of(BROKEN)) == "usual"


async def test_without_a_last_good_pipeline_the_requests_are_refused() -> None:
    """Never unguarded. The client may send them again, so they are not lost."""
    of = pipelines(Maker())
    with pytest.raises(GuardUnavailableError):
        await of(BROKEN)
    with pytest.raises(GuardUnavailableError, match="an operator must correct its record") as caught:
        await of(BROKEN)
    assert caught.value.retryable
    assert await word_of(await of(tenant("one", "other"))) == "one"


async def test_settings_that_could_not_be_used_are_tried_again() -> None:
    """A model file may appear after the record. A flood of requests does not try it again and again."""
    maker, clock = Maker(fails=True), SetClock()
    of = pipelines(maker, clock)
    with pytest.raises(GuardUnavailableError):
        await of(tenant("one"))
    maker.fails = False
    with pytest.raises(GuardUnavailableError):
        await of(tenant("one"))

    clock.seconds += RETRY_S

    assert await word_of(await of(tenant("one"))) == "one"
    assert of.unusable == set()


async def test_a_guard_that_is_never_made_stops_its_tenant_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made in a thread, and its tenant is told after the time limit."""
    monkeypatch.setattr(tenant_pipelines, "BUILD_S", 0.01)
    maker, clock = Maker(release=threading.Event()), SetClock()
    of = pipelines(maker, clock)
    try:
        with pytest.raises(GuardUnavailableError):
            await of(tenant("slow"))
        assert await word_of(await of(tenant("one", "other"))) == "one"
        clock.seconds += RETRY_S
        began = len(maker.made)
        with pytest.raises(GuardUnavailableError):
            await of(tenant("slow"))
        assert len(maker.made) == began
    finally:
        assert maker.release is not None
        maker.release.set()


async def test_the_settings_of_the_platform_must_be_usable() -> None:
    """The worker does not start."""
    platform = TenantGuards(input={"missing": GuardSettings()})
    with pytest.raises(GuardConfigError, match="guard input:missing"):
        TenantPipelines(GuardRegistry(platform=platform), SetClock()).default()


def test_the_values_used_last_are_kept() -> None:
    """Memory is bounded, whatever the number of tenants."""
    recent = Recent[str, int](2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)


async def test_the_guards_load_what_they_need_before_the_first_request() -> None:
    """The event loop of a worker that serves must not wait for it."""
    asked: list[GuardStage] = []

    def make(config: WordConfig, stage: GuardStage, work: TextWork) -> Guard:
        async def guard(content: Content, _: object) -> GuardResult:
            asked.append(stage)
            return GuardResult()

        return guard

    registry = GuardRegistry(
        plugins=by_name([GuardPlugin("g", WordConfig, make)]),
        defaults={"input": ("g",), "tool": ("g",), "output": ("g",)},
    )
    await TenantPipelines(registry, SetClock()).warm()
    assert asked == ["input", "tool", "output"]
