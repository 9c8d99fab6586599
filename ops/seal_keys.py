"""The seal keys of a cluster: the secrets of a process, and the fingerprints in the registry that they must match."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping

from ops.errors import InvalidError, NoSealError, SealKeyError
from ops.settings import Settings
from schemas.seals import Seals
from schemas.tenants import SealKeys, SealSecret
from streams.registry.tenants import TenantRegistry

SECRET_BYTES = 16
VARIABLE = "HEADRACE_SEAL_SECRET"


def seals_of(settings: Settings, registry: TenantRegistry, cluster: str) -> Seals:
    """Return seals with the operator's secrets, and the one in the registry.

    Only a broker on this machine may hold a secret. Raises NoSealError without either.
    """
    secrets = secrets_of(settings, kept_secret(registry))
    if not secrets:
        raise NoSealError
    return Seals(secrets, cluster, lambda: listed(registry).keys())


def secrets_of(settings: Settings, kept: SealSecret | None) -> dict[str, bytes]:
    """Return the secrets by key id, the one that seals first. *kept* is the registry's secret. Raises InvalidError."""
    text = settings.seal_secret.get_secret_value() if settings.seal_secret is not None else ""
    secrets = dict(_secret(part.strip()) for part in text.split(",")) if text else {}
    if kept is not None and settings.on_loopback:
        secrets.setdefault(kept.kid, kept.secret)
    return secrets


def _secret(text: str) -> tuple[str, bytes]:
    kid, _, encoded = text.partition(":")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except ValueError:
        secret = b""
    if not (kid.isascii() and kid.isalnum()) or len(secret) < SECRET_BYTES:
        message = f"{VARIABLE} is not KID:BASE64 of {SECRET_BYTES} bytes or more, comma-separated"
        raise InvalidError(message)
    return kid, secret


def listed(registry: TenantRegistry) -> Mapping[str, str]:
    """Return the fingerprints of the cluster's keys by key id."""
    return registry.seal_keys.fingerprints if registry.seal_keys is not None else {}


def kept_secret(registry: TenantRegistry) -> SealSecret | None:
    """Return the registry's own secret, or None if it has none or its key is retired."""
    secret, keys = registry.secret, registry.seal_keys
    return None if secret is None or (keys is not None and secret.kid in keys.retired) else secret


def check_seal_keys(seals: Seals, registry: TenantRegistry) -> None:
    """Raise SealKeyError unless the worker has every key of the cluster, and seals with one of them."""
    own, wanted = seals.fingerprints(), listed(registry)
    if not wanted:
        raise SealKeyError(
            f"the cluster lists no seal key: run `headrace topics apply` with the {VARIABLE} of all stages"
        )
    _check_secrets(own, wanted)
    for kid in wanted.keys() - own.keys():
        raise SealKeyError(
            f"{VARIABLE} lacks the seal key {kid}, which the cluster lists: add it, as KID:BASE64 after a comma,"
            f" or retire it by `headrace topics apply --retire-seal-key {kid}`"
        )
    if seals.first not in wanted:
        raise SealKeyError(
            f"{VARIABLE} names the key {seals.first} first, so it would seal, and the cluster lists only"
            f" {', '.join(sorted(wanted))}: put a listed key first, or run `headrace topics apply` once all stages have"
            f" {seals.first}"
        )


def _check_secrets(own: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for kid in own.keys() & wanted.keys():
        if own[kid] != wanted[kid]:
            raise SealKeyError(
                f"{VARIABLE} has another secret for the key {kid} than the cluster: set the secret that the running"
                " stages have, or give the new one another id (docs/howto/rotate-seal-key.md)"
            )


def added(own: Mapping[str, str], registry: TenantRegistry) -> SealKeys | None:
    """Return the cluster's keys with those of *own* that are not retired, or None if all of them are listed.

    Raises SealKeyError if a secret differs.
    """
    keys = registry.seal_keys or SealKeys(fingerprints={})
    _check_secrets(own, keys.fingerprints)
    new = {kid: own[kid] for kid in own if kid not in keys.retired and kid not in keys.fingerprints}
    return keys.model_copy(update={"fingerprints": {**keys.fingerprints, **new}}) if new else None


def retired(kids: Collection[str], own: Collection[str], registry: TenantRegistry) -> SealKeys | None:
    """Return the cluster's keys without *kids*, or None if they are gone already.

    Raises SealKeyError if no key of *own* remains: then no stage could start with these settings.
    """
    wanted = listed(registry)
    kept = {kid: wanted[kid] for kid in wanted if kid not in kids}
    if kept == wanted:
        return None
    if not kept or not kept.keys() <= set(own):
        raise SealKeyError(
            f"without {', '.join(sorted(kids))} the cluster's seal keys would be {', '.join(sorted(kept)) or 'none'},"
            f" and {VARIABLE} has {', '.join(sorted(own)) or 'none'}: set it to all the keys that remain"
        )
    former = registry.seal_keys.retired if registry.seal_keys is not None else ()
    return SealKeys(fingerprints=kept, retired=(*former, *(kid for kid in wanted if kid not in kept)))
