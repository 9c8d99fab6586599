"""Read a scenario from a TOML or JSON file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ops.embedded.errors import ScenarioFileError
from ops.embedded.scenario import Scenario

FORMATS = (".json", ".toml")


def read_scenario(path: Path) -> Scenario:
    """Return the scenario of the file. Raises ScenarioFileError, which names the place of the first fault."""
    try:
        return Scenario.model_validate(_content(path))
    except ValidationError as error:
        raise ScenarioFileError(path, _fault(error)) from error


def _content(path: Path) -> Any:  # noqa: ANN401 - any JSON
    if path.suffix not in FORMATS:
        raise ScenarioFileError(path, "it is neither .toml nor .json")
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ScenarioFileError(path, error.strerror or "it cannot be read") from error
    except (ValueError, RecursionError) as error:  # a text that is no UTF-8, or no TOML or JSON
        raise ScenarioFileError(path, str(error)) from error


def _fault(error: ValidationError) -> str:
    """Return the first fault with its place, such as ``rules[1].answer.text``."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
