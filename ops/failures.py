"""Report a failed command: one line on standard error with the next step, and the contract's exit code."""

from __future__ import annotations

import sys
from traceback import format_exception
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

from ops.errors import OperationError
from ops.terminal import escaped, one_line

if TYPE_CHECKING:
    from pydantic import ValidationError

FAILED, USAGE, INTERRUPTED = 1, 2, 130
NEXT_STEP = {
    "KafkaUnreachableError": "is it running, and is HEADRACE_KAFKA_BOOTSTRAP its address?",
    "UntrustedBrokerError": "HEADRACE_KAFKA_CA_FILE has to name the authority that signed for this address, as PEM",
    "AccessDeniedError": "check HEADRACE_KAFKA_USERNAME and _PASSWORD, and what the account may do",
    "UnknownTopicError": "`headrace topics plan` shows what is missing, `headrace topics apply` makes it",
}
"""Next steps for errors of the lower layers, which do not know the command line."""
HELP = "NoArgsIsHelpError"
"""Class name of the error for a noun without a verb. Its message is the help text, printed unchanged."""
DEBUG = "HEADRACE_LOG_LEVEL=debug shows where"


@runtime_checkable
class _Misuse(Protocol):
    """The error that typer raises for invalid arguments."""

    exit_code: int

    def format_message(self) -> str: ...


def report(error: Exception, *, debug: bool) -> int:
    """Print *error* as one line, after its traceback if *debug*, and return the exit code."""
    cause = innermost(error)
    if type(cause).__name__ == HELP and isinstance(cause, _Misuse):
        sys.stderr.write(f"{cause.format_message()}\n")
        return cause.exit_code
    if debug:
        sys.stderr.write(trace_of(error))
    sys.stderr.write(f"headrace: {sentence(cause)}\n")
    return exit_code(cause)


def trace_of(error: BaseException) -> str:
    """Return the traceback of *error* and its causes, without control characters."""
    return escaped("".join(format_exception(error)))


def innermost(error: Exception) -> Exception:
    """Return the first error inside nested exception groups: the one that failed a task group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def sentence(error: Exception) -> str:
    """Return *error* as one line for a person, without control characters."""
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
    return one_line(" ".join(text.split()))


def _is_invalid(error: Exception) -> TypeGuard[ValidationError]:
    """Return True if *error* is a pydantic ValidationError.

    It does not import pydantic, to keep a usage error fast: code that raises a ValidationError has imported it.
    """
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(error, pydantic.ValidationError)


def _fault(error: ValidationError) -> str:
    if error.title == "Settings":
        from ops.setting_values import fault_of  # noqa: PLC0415 - only for this

        return fault_of(error)
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(step) for step in fault["loc"])
    return f"{place or error.title}: {fault['msg']}"


def exit_code(error: Exception) -> int:
    """Return the exit code: 2 for a usage error, 1 for any other failure."""
    match error:
        case OperationError():
            return error.exit_code
        case _ if _is_invalid(error):
            return USAGE
        case _Misuse():
            return error.exit_code
        case _:
            return FAILED
