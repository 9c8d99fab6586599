"""The seam of other models: a scorer returns the probability that a text is what the guard looks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.models import Payload

MODEL_FILE: Final = "model.onnx"

Inputs: TypeAlias = Mapping[str, NDArray[Any]]
"""The inputs of a model by their names, each with a row for the text."""

Encoder: TypeAlias = Callable[[str], Inputs]
"""Returns the inputs for a text: the tokenizer of a model."""


class Scorer(Protocol):
    """Scores a text."""

    async def __call__(self, text: str, /) -> float:
        """Return a probability, from 0 to 1."""
        ...


class OnnxModel(Payload):
    """A text classifier in ONNX that the operator supplies."""

    directory: str
    """The folder with ``model.onnx``. It is read from the worker's disk."""

    encoder: str = ""
    """The function that makes the model's inputs from a text, as ``package.module:function``.

    Without one, the inputs are ``input_ids`` with the text's code points, and ``attention_mask`` with ones. Models
    without a tokenizer, such as CANINE, take these."""

    label: Annotated[int, Field(ge=0)] = 1
    """The place of the wanted class in the model's first output. A model with one output value needs none."""

    characters: Annotated[int, Field(gt=0)] = 2_048
    """Characters that the model reads at once. Of a longer text it reads parts, and the worst part counts."""

    parts: Annotated[int, Field(gt=0)] = 16
    """Parts that are read at most: the first ones."""


def code_points(text: str) -> Inputs:
    """Return the text's code points as ``input_ids``, and ``attention_mask``."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    return {"input_ids": codes[np.newaxis], "attention_mask": np.ones((1, len(codes)), dtype=np.int64)}


@dataclass(frozen=True, slots=True)
class OnnxScorer:
    """Scores texts with onnxruntime, in a thread: the library releases the interpreter while it computes."""

    session: Any
    encode: Encoder
    model: OnnxModel

    async def __call__(self, text: str) -> float:
        """Return the probability of the worst part. Raise what onnxruntime or the encoder raises."""
        return await asyncio.to_thread(self._worst, text)

    def _worst(self, text: str) -> float:
        size = self.model.characters
        parts = [text[at : at + size] for at in range(0, len(text), size)][: self.model.parts]
        return max(map(self._probability, filter(None, parts)), default=0.0)

    def _probability(self, text: str) -> float:
        names = {each.name for each in self.session.get_inputs()}
        inputs = {name: value for name, value in self.encode(text).items() if name in names}
        logits = np.asarray(self.session.run(None, inputs)[0], dtype=np.float64).reshape(-1)
        if len(logits) == 1:
            return float(1 / (1 + np.exp(-logits[0])))
        odds = np.exp(logits - logits.max())
        return float(odds[self.model.label] / odds.sum())


def onnx_scorer(model: OnnxModel) -> OnnxScorer:
    """Return the scorer of a model; it is loaded once. Raise ValueError, one line, if it cannot be loaded."""
    return _loaded(model.model_dump_json())


@cache
def _loaded(settings: str) -> OnnxScorer:
    model = OnnxModel.model_validate_json(settings)
    file = Path(model.directory, MODEL_FILE)
    if not file.is_file():
        raise ValueError(f"{file} does not exist: give the folder of an ONNX model")
    return OnnxScorer(_session(file), _encoder(model.encoder), model)


def _session(file: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    try:
        import onnxruntime  # noqa: PLC0415 - an extra: only those who give a model need it
    except ImportError:
        raise ValueError("an ONNX model needs the extra: pip install 'headrace[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"{file} cannot be loaded: {type(error).__name__}") from error


def _encoder(name: str) -> Encoder:
    if not name:
        return code_points
    try:
        encode: Encoder = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"the encoder {name} cannot be imported: {type(error).__name__}") from error
    return encode
