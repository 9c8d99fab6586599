"""What the compose files say, as Compose itself reads them: its command runs without Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ops.settings import child_environment
from tests.contract.planted import ROOT

MAIN = "docker-compose.kafka.yml"
SPLIT = "ops/compose/split.yml"
JOURNEYS = {"compact": (MAIN,), "split": (MAIN, SPLIT)}
SECRET = "k1:dGhlIHNlY3JldCBvZiBhIHRlc3Q="


def compose(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Compose's own command in *folder*."""
    command = [str(Path(sys.executable).with_name("docker-compose")), *arguments]
    changes = {"HEADRACE_SEAL_SECRET": SECRET, **environment}
    return subprocess.run(
        command, cwd=folder, env=child_environment(**changes), capture_output=True, text=True, check=False, timeout=60
    )


def resolved(*files: str, folder: Path = ROOT) -> dict[str, Any]:
    """The services of *files* as Compose starts them; fails if it refuses them."""
    named = [part for file in files for part in ("--file", file)]
    done = compose(*named, "--env-file", os.devnull, "config", "--format", "json", folder=folder)
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)
    assert isinstance(model, dict)
    return model


def yaml(file: Path, into: Path) -> dict[str, Any]:
    """The content of a YAML file: Compose reads it as an extension of a file without services."""
    indented = "".join(f"  {line}" for line in file.read_text(encoding="utf-8").splitlines(keepends=True))
    into.joinpath("extension.yml").write_text(f"name: x\nservices: {{}}\nx-content:\n{indented}", encoding="utf-8")
    done = compose("--file", "extension.yml", "config", "--no-interpolate", "--format", "json", folder=into)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)["x-content"]
    assert isinstance(content, dict)
    return content
