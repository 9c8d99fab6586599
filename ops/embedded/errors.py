"""Errors of the embedded stack. Each error message is one line that names the next step.

::

    EmbeddedError              raised itself if the server is not started
    ├── NotInstalledError      an extra is missing
    ├── JarsUnavailableError   Kafka's jars are neither cached nor downloadable
    ├── WrongJarError          a downloaded jar is not the locked one
    ├── FolderInUseError       another process owns the data folder
    ├── PortTakenError         another process listens on the requested port
    ├── ChildEndedError        the process ended while it was starting
    ├── NotReadyError          the process runs and does not answer
    ├── NotTheMainThreadError  children must be started on the main thread
    └── ScenarioFileError      the file of a scripted model's scenario cannot be used
"""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """The root of the tree. ``str(error)`` is a single line for the user at the terminal."""


class NotInstalledError(EmbeddedError):
    """A package that the embedded stack needs is not installed."""


class JarsUnavailableError(EmbeddedError):
    """The repository cannot be reached, and the cache does not have every jar."""


class WrongJarError(EmbeddedError):
    """The repository served a file that differs from the locked jar."""


class FolderInUseError(EmbeddedError):
    """Another instance owns the data folder. A folder belongs to one instance at a time."""


class PortTakenError(EmbeddedError):
    """A port that was requested by number is not free."""

    def __init__(self, what: str, port: int) -> None:
        super().__init__(f"port {port} for {what} is taken: free it, or ask for port 0 to get a free one")


class ChildEndedError(EmbeddedError):
    """The process ended before it was ready. ``tail`` has the last lines of its log, oldest first."""

    def __init__(self, what: str, status: int, tail: list[str], log: str) -> None:
        self.tail = tail
        words = [line for line in tail if not line[0].isspace()]  # without the lines of a stack trace
        last = words[-1] if words else "it wrote nothing"
        super().__init__(f"{what} ended at start with status {status}: {last} (log: {log})")


class NotReadyError(EmbeddedError):
    """The process runs but has not answered in time."""

    def __init__(self, what: str, seconds: float, log: str) -> None:
        super().__init__(f"{what} did not answer within {seconds:.0f} s: look into {log}")


class NotTheMainThreadError(EmbeddedError):
    """The current thread is not the main thread. A child that it starts would end with that thread."""


class ScenarioFileError(EmbeddedError):
    """The file of a scripted model's scenario cannot be read, or has a fault."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"the scenario {path}: {fault}")
