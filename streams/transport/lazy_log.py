"""A logger that imports structlog with its first line: the import costs a short command more than its request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def _nothing() -> None:
    """Do nothing: logging is configured."""


class LazyLog:
    """The logger of modules that short commands import. They log only when something is odd."""

    prepare: ClassVar[Callable[[], None]] = staticmethod(_nothing)
    """Configures logging before the first line. A command sets it."""

    def debug(self, event: str, **fields: object) -> None:
        """Log *event* at level debug."""
        self._logger().debug(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log *event* at level warning."""
        self._logger().warning(event, **fields)

    def _logger(self) -> FilteringBoundLogger:
        import structlog  # noqa: PLC0415 - see above

        LazyLog.prepare()
        LazyLog.prepare = staticmethod(_nothing)
        logger: FilteringBoundLogger = structlog.get_logger()
        return logger
