"""Read guard settings from a file."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ops.errors import InvalidError
from schemas.guards import TenantGuards


def guards_in(file: Path) -> TenantGuards:
    """Return the guard settings in a JSON file. Raise InvalidError, one line, if there are none."""
    try:
        return TenantGuards.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InvalidError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InvalidError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
