"""A logger that imports structlog with its first line: the import costs a short command more than its request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_configurations: list[Callable[[], None]] = []


def configure_by(configure: Callable[[], None]) -> None:
    """Call *configure* before the first line. A process that has configured logging itself needs no such call."""
    _configurations[:] = [configure]


class LazyLog:
    """The logger of modules that short commands import. They log only when something is odd."""

    def debug(self, event: str, **fields: object) -> None:
        """Log *event* at level debug."""
        _logger().debug(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log *event* at level warning."""
        _logger().warning(event, **fields)


def _logger() -> FilteringBoundLogger:
    import structlog  # noqa: PLC0415 - see above

    while _configurations:
        _configurations.pop()()
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger
