"""The failure of a call of Valkey. Each store turns it into an error of its own, which decides the run's fate."""

from __future__ import annotations


class ValkeyCallError(Exception):
    """Valkey did not answer, or did not keep the write. The detail is for logs."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
