"""A model of the operator scores texts, and a folder without one is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.guard.injection.scorer import Inputs, OnnxModel, code_points, onnx_scorer
from tests.unit.consumers.guard.injection.onnx_model import write_model

pytestmark = pytest.mark.anyio

_HIGH = "\u4e2d"


def shifted(text: str) -> Inputs:
    """Return the code points, each 9,000 higher: a tokenizer that the operator supplies."""
    inputs = code_points(text)
    return {"input_ids": inputs["input_ids"] + 9_000}


async def test_a_model_scores_a_text(tmp_path: Path) -> None:
    """A real session of onnxruntime, with a model of a few nodes."""
    write_model(tmp_path)
    scorer = onnx_scorer(OnnxModel(directory=str(tmp_path)))

    assert await scorer("plain") < 0.01
    assert await scorer(f"a {_HIGH}") > 0.99


async def test_the_worst_part_of_a_long_text_counts(tmp_path: Path) -> None:
    """A model reads a bounded number of characters at once."""
    write_model(tmp_path)
    scorer = onnx_scorer(OnnxModel(directory=str(tmp_path), characters=10, parts=3))

    assert await scorer("x" * 25 + _HIGH) > 0.99
    assert await scorer("x" * 35 + _HIGH) < 0.01
    assert await scorer("") == 0


async def test_the_operators_tokenizer_is_used(tmp_path: Path) -> None:
    """Most models need one, and it comes as a function."""
    write_model(tmp_path)
    scorer = onnx_scorer(OnnxModel(directory=str(tmp_path), encoder=f"{__name__}:shifted"))

    assert await scorer("plain") > 0.99


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """At the start, not at the first request."""
    with pytest.raises(ValueError, match=r"model\.onnx does not exist: give the folder of an ONNX model"):
        onnx_scorer(OnnxModel(directory=str(tmp_path)))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """The message names the file, and not its content."""
    (tmp_path / "model.onnx").write_bytes(b"not a model")

    with pytest.raises(ValueError, match=r"model\.onnx cannot be loaded: \w+"):
        onnx_scorer(OnnxModel(directory=str(tmp_path)))


def test_an_encoder_that_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    """The name is the operator's, so the message has it."""
    write_model(tmp_path)

    with pytest.raises(ValueError, match="the encoder nowhere:encode cannot be imported: ModuleNotFoundError"):
        onnx_scorer(OnnxModel(directory=str(tmp_path), encoder="nowhere:encode"))
