"""Change single fields of a tenant record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.errors import InvalidError
from schemas.tenants import Tenant


def changed(tenant: Tenant, fields: Mapping[str, Any], limits: Mapping[str, Any]) -> Tenant:
    """Return *tenant* with these fields and limits, all others as they are. Raises ValidationError, InvalidError."""
    record = tenant.model_dump() | dict(fields)
    new = Tenant.model_validate({**record, "limits": tenant.limits.model_dump() | dict(limits)})
    if new.limits.default_deadline > new.limits.max_deadline:
        raise InvalidError(
            f"the default deadline of {new.limits.default_deadline:g} s is longer than the longest allowed,"
            f" {new.limits.max_deadline:g} s: change both, or another one"
        )
    if tenant.interactive and not new.interactive:
        raise InvalidError(f"tenant {tenant.id} is interactive, and its topics remain: leave --interactive as it is")
    return new
