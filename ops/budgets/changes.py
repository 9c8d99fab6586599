"""Change the limits of spending in a tenant's record."""

from __future__ import annotations

from collections.abc import Mapping

from ops.errors import InvalidError
from schemas.budgets import Budgets, SpendLimits
from schemas.tenants import Tenant

SPENDERS = ("tenant", "user", "agent")


def with_budgets(tenant: Tenant, spender: str, limits: Mapping[str, float | None], soft: float | None = None) -> Tenant:
    """Return *tenant* with these limits of the spender and this soft share; all others stay. None lifts a limit.

    Raises InvalidError, ValidationError.
    """
    if spender not in SPENDERS:
        raise InvalidError(f"`--of {spender}` is no spender: write {', '.join(SPENDERS)}")
    if not limits and soft is None:
        raise InvalidError("no limit is given: write one, for example --tokens-per-day 5M")
    known: SpendLimits = getattr(tenant.budgets, spender)
    changed = SpendLimits.model_validate({**known.model_dump(), **limits})
    fields = {**tenant.budgets.model_dump(), spender: changed} | ({} if soft is None else {"soft": soft})
    return tenant.model_copy(update={"budgets": Budgets.model_validate(fields)})
