"""Who may import whom. The contracts are in pyproject.toml; here they hold, and are seen to break."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.contract.planted import ROOT, copy, plant, run

_SPOKEN = sys.stdlib_module_names | {"pydantic", "pydantic_core", "schemas", "typing_extensions"}


def _layers(tree: Path) -> tuple[int, str]:
    done = run(tree, "lint-imports", "--no-cache", "--no-logo")
    return done.returncode, done.stdout + done.stderr


def _imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])

    return names


def _impurities(tree: Path) -> list[str]:
    files = sorted((tree / "schemas").rglob("*.py"))
    return [f"{file.name} imports {name}" for file in files for name in sorted(_imported(file) - _SPOKEN)]


def test_the_rooms_import_in_one_direction() -> None:
    """What a room may know is what keeps it replaceable."""
    code, report = _layers(ROOT)

    assert code == 0, report


def test_schemas_import_pydantic_and_the_standard_library_only() -> None:
    """What travels can be read by a program that runs nothing of ours."""
    assert _impurities(ROOT) == []


@pytest.mark.planted
@pytest.mark.parametrize(
    ("path", "text", "broken"),
    [
        ("consumers/auth/planted.py", "import aiokafka\n", "steps have no Kafka inside"),
        ("consumers/guard/planted.py", "from faststream import kafka\n", "steps have no Kafka inside"),
        ("schemas/planted.py", "import streams.handler\n", "ops runs streams"),
        ("producers/planted.py", "import consumers.agent\n", "ops runs streams"),
        ("streams/planted.py", "import headrace\n", "ops runs streams"),
        ("schemas/planted.py", "import socket\n", "schemas are pure"),
        ("ops/planted.py", "import aiokafka.admin\n", "only streams.transport knows"),
        ("streams/planted.py", "from aiokafka import AIOKafkaProducer\n", "only streams.transport knows"),
        ("consumers/agent/planted.py", "import consumers.auth\n", "auth, admission, guard and agent do not"),
        ("consumers/guard/planted.py", "import consumers.admission\n", "auth, admission, guard and agent do not"),
        ("streams/engine/planted.py", "import streams.stages.inner\n", "stages run on the engine"),
        ("streams/transport/planted.py", "import streams.engine.config\n", "stages run on the engine"),
        ("ops/planted.py", "import ops.lab.bench.figures\n", "only their commands import"),
    ],
)
def test_a_wrong_import_breaks_its_contract(tmp_path: Path, path: str, text: str, broken: str) -> None:
    """Each contract has been seen to say no."""
    tree = copy(tmp_path)
    plant(tree, path, text)

    code, report = _layers(tree)

    assert code == 1
    assert any(line.startswith(broken) and " BROKEN" in line for line in report.splitlines()), report


@pytest.mark.planted
def test_a_cycle_inside_a_folder_breaks_its_contract(tmp_path: Path) -> None:
    """Two modules that need each other are one, or three."""
    tree = copy(tmp_path)
    plant(tree, "producers/planted_one.py", "import producers.planted_two\n")
    plant(tree, "producers/planted_two.py", "import producers.planted_one\n")

    code, report = _layers(tree)

    assert code == 1
    assert "no cycles inside a folder BROKEN" in report


@pytest.mark.planted
def test_the_transport_itself_may_import_the_client(tmp_path: Path) -> None:
    """A contract that nobody can keep is removed by the next in a hurry."""
    tree = copy(tmp_path)
    plant(tree, "streams/transport/planted.py", "import aiokafka\n")

    _, report = _layers(tree)

    assert "only streams.transport knows the broker's client KEPT" in report


@pytest.mark.planted
def test_a_client_in_schemas_is_reported(tmp_path: Path) -> None:
    """The list of what is allowed is shorter than the list of what is not."""
    tree = copy(tmp_path)
    plant(tree, "schemas/planted.py", "from orjson import dumps\n")

    assert _impurities(tree) == ["planted.py imports orjson"]
