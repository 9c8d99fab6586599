"""The seals from the settings."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from ops.errors import InvalidError
from ops.seal_keys import seals_of
from ops.settings import Settings
from streams.registry.tenants import TenantRegistry


@pytest.mark.parametrize("secret", ["k1", "k1:", "k1:é", "é:" + "c2Vj" * 8, "k.1:" + "c2Vj" * 8, "k1:c2Vj", "k1:%%%%"])
def test_a_secret_of_another_form_is_refused_without_being_shown(secret: str) -> None:
    """One line with the variable."""
    settings = Settings.model_construct(seal_secret=SecretStr(secret))

    with pytest.raises(InvalidError, match="HEADRACE_SEAL_SECRET is not KID:BASE64") as caught:
        seals_of(settings, TenantRegistry(), "cluster")

    assert secret.rpartition(":")[2] not in str(caught.value) or secret in {"k1:", "k1"}
