"""How a command says that it failed: one line on standard error with the next step, and the contract's exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

from ops.errors import OperationError

if TYPE_CHECKING:
    from pydantic import ValidationError

FAILED, USAGE, INTERRUPTED = 1, 2, 130
NEXT_STEP = {
    "KafkaUnreachableError": "is it running, and is HEADRACE_KAFKA_BOOTSTRAP its address?",
    "UntrustedBrokerError": "HEADRACE_KAFKA_CA_FILE has to name the authority that signed for this address, as PEM",
    "AccessDeniedError": "check HEADRACE_KAFKA_USERNAME and _PASSWORD, and what the account may do",
    "UnknownTopicError": "`headrace topics plan` shows what is missing, `headrace topics apply` makes it",
}
"""What to do about errors of the rooms below, which do not know that there is a command line."""
HELP = "NoArgsIsHelpError"
"""Raised for a noun without a verb: its message is the help, and is shown as it is."""
DEBUG = "HEADRACE_LOG_LEVEL=debug shows where"


@runtime_checkable
class _Misuse(Protocol):
    """What typer raises for arguments that do not fit."""

    exit_code: int

    def format_message(self) -> str: ...


def report(error: Exception, *, debug: bool) -> int:
    """Print *error* as one line (and, with *debug*, all there is to know); return the exit code."""
    cause = innermost(error)
    if type(cause).__name__ == HELP and isinstance(cause, _Misuse):
        sys.stderr.write(f"{cause.format_message()}\n")
        return cause.exit_code
    if debug:
        sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.write(f"headrace: {sentence(cause)}\n")
    return exit_code(cause)


def innermost(error: Exception) -> Exception:
    """The first error inside groups of errors: what a task group failed with."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def sentence(error: Exception) -> str:
    """One line for a person."""
    match error:
        case OperationError():
            text = str(error)
        case _ if _is_invalid(error):
            text = _fault(error)
        case _Misuse():
            text = error.format_message()
        case _ if step := NEXT_STEP.get(type(error).__name__):
            text = f"{error}: {step}"
        case _ if type(error).__module__.partition(".")[0] in {"ops", "streams", "consumers", "schemas"}:
            text = str(error)
        case _:
            text = f"{type(error).__name__}: {error} ({DEBUG})"
    return " ".join(text.split())


def _is_invalid(error: Exception) -> TypeGuard[ValidationError]:
    """Asked of what is loaded: who raises it has loaded it, and a usage error need not."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(error, pydantic.ValidationError)


def _fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(step) for step in fault["loc"])
    prefix = "HEADRACE_" if error.title == "Settings" and not place.startswith(("HEADRACE_", "OPENAI_")) else ""
    return f"{prefix}{place.upper() if prefix else place or error.title}: {fault['msg']}"


def exit_code(error: Exception) -> int:
    """2 for what was asked wrongly, 1 for what went wrong."""
    match error:
        case OperationError():
            return error.exit_code
        case _ if _is_invalid(error):
            return USAGE
        case _Misuse():
            return error.exit_code
        case _:
            return FAILED
