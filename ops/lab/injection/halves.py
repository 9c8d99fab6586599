"""Halves of our own templates, so that a fit can be judged with texts that are built otherwise."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from ops.lab.injection import attacks, benign, carriers

_TEMPLATES: Final[tuple[tuple[ModuleType, str], ...]] = (
    (attacks, "DIRECT"),
    (attacks, "INDIRECT"),
    (attacks, "FOREIGN"),
    (benign, "TRIGGERS"),
    (benign, "PLAIN"),
    (benign, "FOREIGN"),
    (benign, "REQUESTS"),
    (carriers, "MAKERS"),
)


@contextmanager
def half(number: int) -> Generator[None]:
    """Use every second template within the block, from the first (0) or the second (1) on."""
    kept = [(module, name, getattr(module, name)) for module, name in _TEMPLATES]
    try:
        for module, name, templates in kept:
            setattr(module, name, _every_second(templates, number))
        yield
    finally:
        for module, name, templates in kept:
            setattr(module, name, templates)


def _every_second(templates: Any, number: int) -> Any:  # noqa: ANN401 - a tuple, or a mapping of tuples
    if isinstance(templates, dict):
        return {key: each[number::2] for key, each in templates.items()}
    return templates[number::2]
