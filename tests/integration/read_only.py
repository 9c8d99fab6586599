"""The built wheel where it may do little: as a user without rights, on a file system that nobody can write to.

It is the situation of a container, made of the kernel's parts: a mount namespace of its own, and `setpriv`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.contract.planted import ROOT, run

USER = 10_001
"""As in the image."""

_NAMESPACE = """
set -eu
mount --make-rprivate /
mount --bind "$PYTHON" "$IMAGE/python"
mount --bind "$LIBRARIES" "$IMAGE/libraries"
findmnt --list --noheadings --output TARGET | while read -r place; do
    mount --options remount,bind,ro "$place" 2>/dev/null || true
done
cd "$IMAGE/agents"
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel, installed in a folder that others may read."""

    image: Path

    def command(self, *arguments: str) -> list[str]:
        """Run Python with *arguments* in the namespace."""
        python = self.image / "python" / "bin" / f"python{sysconfig.get_python_version()}"
        inside = ["/bin/sh", "-c", _NAMESPACE, "sh", *_without_rights(), "env", "-i", *self._environment()]
        return ["env", *self._places(), *_namespace(), *inside, str(python), "-P", *arguments]

    def headrace(self, *arguments: str) -> list[str]:
        """Run ``headrace ARGUMENTS`` in the namespace, by the wheel's own script."""
        return self.command(str(self.image / "app" / "bin" / "headrace"), *arguments)

    def _places(self) -> list[str]:
        libraries = sysconfig.get_path("platlib")
        return [f"PYTHON={sys.base_prefix}", f"LIBRARIES={libraries}", f"IMAGE={self.image}"]

    def _environment(self) -> list[str]:
        """The variables of the image; a broker's address is added by ``env`` as an argument."""
        return [
            f"PATH={os.defpath}",
            "HOME=/nonexistent",
            "PYTHONDONTWRITEBYTECODE=1",
            f"PYTHONPATH={self.image / 'app'}:{self.image / 'libraries'}",
            f"LD_LIBRARY_PATH={self.image / 'python' / 'lib'}",
        ]


def _namespace() -> list[str]:
    if os.geteuid() == 0:
        return ["unshare", "--mount"]
    return ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]


def _without_rights() -> list[str]:
    user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else ["--ambient-caps=-all"]
    return ["setpriv", *user, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]


@contextmanager
def installed() -> Generator[Installed]:
    """Build the wheel and install it for the block. The folder is not pytest's: only its owner may enter that."""
    image = Path(tempfile.mkdtemp(prefix="headrace-image-"))
    try:
        image.chmod(0o755)
        for name in ("python", "libraries", "app", "agents", "dist"):
            (image / name).mkdir()
        _install(image)
        yield Installed(image)
    finally:
        shutil.rmtree(image)


def _install(image: Path) -> None:
    built = run(ROOT, "hatchling", "build", "--target", "wheel", "--directory", str(image / "dist"))
    assert built.returncode == 0, built.stderr
    (wheel,) = (image / "dist").glob("*.whl")
    options = ("--offline", "--no-deps", "--no-config", "--python", sys.executable, "--target", str(image / "app"))
    done = run(ROOT, "uv", "pip", "install", *options, str(wheel))
    assert done.returncode == 0, done.stderr


def said(command: list[str], within: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=within)
