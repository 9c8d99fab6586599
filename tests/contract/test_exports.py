"""What `from headrace import ...` offers: a list that changes on purpose only."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.contract.planted import ROOT, copy, plant

PUBLIC = (
    "Action",
    "Agent",
    "AgentDefinitionError",
    "AssistantMessage",
    "BlockedError",
    "CallModel",
    "CallTools",
    "ContextOverflowError",
    "ExpiredError",
    "Finish",
    "ForbiddenError",
    "Handoff",
    "HeadraceError",
    "InternalError",
    "MalformedError",
    "Middleware",
    "Model",
    "ModelError",
    "ModelOverloadedError",
    "ModelQuotaError",
    "ModelRejectedError",
    "ModelRequest",
    "ModelResponse",
    "ModelTimeoutError",
    "ModelUnavailableError",
    "ModelUnreadableError",
    "ModelUsage",
    "Next",
    "Operation",
    "PlanState",
    "Request",
    "Result",
    "Run",
    "RunLimits",
    "SystemMessage",
    "Tool",
    "ToolCall",
    "ToolDeniedError",
    "ToolFailedError",
    "ToolMessage",
    "ToolSpec",
    "UserMessage",
    "agent",
    "tool",
)
"""The promise. A name enters with a line in CHANGELOG.md, and leaves with a major version."""

TESTING = (
    "GuardConformanceError",
    "ScriptedAnswer",
    "ScriptedResult",
    "ScriptedToolCall",
    "ScriptedWorker",
    "UnscriptedCallError",
    "call",
    "check_guard",
    "run_agent",
    "scripted_worker",
)
"""The same promise for ``headrace.testing``."""


def _module(tree: Path) -> ast.Module:
    return ast.parse((tree / "headrace" / "__init__.py").read_text(encoding="utf-8"))


def _bound(module: ast.Module) -> list[str]:
    """The names that the module's imports bind, sorted."""
    imports = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.asname or alias.name for node in imports if _offers(node) for alias in node.names]
    return sorted(names)


def _offers(node: ast.Import | ast.ImportFrom) -> bool:
    return not (isinstance(node, ast.ImportFrom) and node.module == "__future__")


def _listed(module: ast.Module) -> list[str]:
    """What ``__all__`` names, each time it is written."""
    names: list[str] = []
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names += ast.literal_eval(value)
            case _:
                pass

    return names


def _logic(module: ast.Module) -> list[str]:
    """The statements that are neither the docstring, an import, nor ``__all__``."""
    return [ast.unparse(node) for node in module.body if not _declares(node)]


def _declares(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case _:
            return False


def _unpromised(tree: Path) -> list[str]:
    """The names that are bound, listed or promised, but not all three."""
    module = _module(tree)
    bound, listed, promised = set(_bound(module)), set(_listed(module)), set(PUBLIC)
    return sorted((bound | listed | promised) - (bound & listed & promised))


def test_the_public_names_are_the_promised_ones() -> None:
    """A name that slips out is a promise nobody made."""
    assert _unpromised(ROOT) == []


def test_every_public_name_is_there() -> None:
    """The list is read by star imports and by documentation tools, and by nobody who would see a gap."""
    headrace = importlib.import_module("headrace")

    assert [name for name in PUBLIC if not hasattr(headrace, name)] == []


def test_the_test_support_offers_the_promised_names() -> None:
    """Users' tests break as their agents would."""
    testing = importlib.import_module("headrace.testing")

    assert sorted(testing.__all__) == sorted(TESTING)
    assert [name for name in TESTING if not hasattr(testing, name)] == []


def test_the_package_has_no_logic() -> None:
    """Re-exports only: the rooms work without it."""
    assert _logic(_module(ROOT)) == []


@pytest.mark.planted
@pytest.mark.parametrize(
    "text",
    [
        "from schemas.records import Partition\n",
        "from schemas import records as Partition\n",
        "__all__ = ('Partition',)\n",
    ],
)
def test_a_name_that_nobody_promised_is_reported(tmp_path: Path, text: str) -> None:
    """An import is enough to offer a name, and so is the list."""
    tree = copy(tmp_path)
    plant(tree, "headrace/__init__.py", text)

    assert "Partition" in _unpromised(tree)


@pytest.mark.planted
def test_logic_in_the_package_is_reported(tmp_path: Path) -> None:
    """A function here would be reached from no room."""
    tree = copy(tmp_path)
    plant(tree, "headrace/__init__.py", "def planted() -> None: ...\n")

    assert _logic(_module(tree)) == ["def planted() -> None:\n    ..."]
