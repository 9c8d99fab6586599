"""Why the embedded stack did not start: each error is one line that names the next step.

::

    EmbeddedError              also by itself: the server is not started
    ├── NotInstalledError      an extra is missing
    ├── JarsUnavailableError   Kafka's jars are neither here nor to be fetched
    ├── WrongJarError          a fetched jar is not the locked one
    ├── FolderInUseError       another process owns the data folder
    ├── PortTakenError         somebody listens on the port that was asked for
    ├── ChildEndedError        the process ended while it was being started
    ├── NotReadyError          the process runs and does not answer
    └── NotTheMainThreadError  children must be started on the main thread
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """The root; ``str(error)`` is a single line for the person at the terminal."""


class NotInstalledError(EmbeddedError):
    """A package that the embedded stack needs is not installed."""


class JarsUnavailableError(EmbeddedError):
    """The repository cannot be reached and the cache does not have every jar."""


class WrongJarError(EmbeddedError):
    """The repository served something else than the locked jar."""


class FolderInUseError(EmbeddedError):
    """One data folder belongs to one instance at a time."""


class PortTakenError(EmbeddedError):
    """A port that was asked for by number is not free."""

    def __init__(self, what: str, port: int) -> None:
        super().__init__(f"port {port} for {what} is taken: free it, or ask for port 0 to get a free one")


class ChildEndedError(EmbeddedError):
    """The process ended before it was ready; ``tail`` has the last lines of its log, oldest first."""

    def __init__(self, what: str, status: int, tail: list[str], log: str) -> None:
        self.tail = tail
        words = [line for line in tail if not line[0].isspace()]  # not those of a stack trace
        last = words[-1] if words else "it wrote nothing"
        super().__init__(f"{what} ended at start with status {status}: {last} (log: {log})")


class NotReadyError(EmbeddedError):
    """The process lives and has not answered in time."""

    def __init__(self, what: str, seconds: float, log: str) -> None:
        super().__init__(f"{what} did not answer within {seconds:.0f} s: look into {log}")


class NotTheMainThreadError(EmbeddedError):
    """A child that a thread started would end with that thread."""
