"""Distributions with entry points, written by hand into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], **modules: str) -> None:
    """Write a distribution of version 1.0 with these entry points and modules, as an installer would."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())])
        for group, entries in entry_points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups) + "\n")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
