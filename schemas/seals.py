"""The platform's seal: proof that a platform stage wrote a record to an internal topic.

The seal is an HMAC-SHA256 (RFC 2104). Each topic has its own key, derived from the secret (RFC 5869, expand step). So
a seal of one topic is invalid on another. The seal covers the record's key and value. The value holds the whole hop:
identity, request, deadline and verdicts.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Collection, Mapping

from schemas.errors import UnauthenticatedError

_VERSION = "v1"
_FINGERPRINT_BYTES = 16


def _no_keys() -> Collection[str]:
    return ()


class SealKeyMissingError(Exception):
    """A record is sealed with a key of the cluster that this worker lacks. It must leave the record to another one."""

    def __init__(self, kid: str) -> None:
        super().__init__(f"HEADRACE_SEAL_SECRET lacks the seal key {kid}, which other workers seal with: add it")


class Seals:
    """The seals of a cluster: made with the first secret, accepted with any. Two are active during a rotation."""

    __slots__ = ("_cluster", "_first", "_keys", "_listed", "_secrets")

    def __init__(
        self, secrets: Mapping[str, bytes], cluster: str, listed: Callable[[], Collection[str]] = _no_keys
    ) -> None:
        """Create the seals of *cluster*. *listed* returns the ids of the cluster's keys, which may change."""
        if not secrets:
            message = "a seal needs a secret"
            raise ValueError(message)
        if not all(kid.isascii() and kid and "." not in kid for kid in secrets):
            message = "the name of a secret is ASCII and holds no dot: dots part the seal"
            raise ValueError(message)
        self._secrets = dict(secrets)
        self._first = next(iter(self._secrets))
        self._cluster, self._listed = cluster, listed
        self._keys: dict[tuple[str, str], bytes] = {}

    @property
    def first(self) -> str:
        """The id of the key that seals."""
        return self._first

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each secret by its key's id. It identifies the secret and does not reveal it."""
        text = f"headrace seal-fingerprint {self._cluster}".encode()
        return {
            kid: hmac.digest(secret, text, "sha256")[:_FINGERPRINT_BYTES].hex() for kid, secret in self._secrets.items()
        }

    def seal(self, topic: str, key: bytes, value: bytes) -> str:
        """Return the seal header of a record with this key and value on *topic*."""
        return f"{_VERSION}.{self._first}.{self._mac(self._first, topic, key, value)}"

    def verify(self, topic: str, key: bytes | None, value: bytes | None, seal: str | None) -> None:
        """Raise UnauthenticatedError unless *seal* is the platform's seal of this key, value and topic.

        Raise SealKeyMissingError if the seal cannot be checked here, because this worker lacks a key of the cluster.
        """
        version, kid, mac = _parts(seal)
        known = version == _VERSION and kid in self._secrets
        if not known and version == _VERSION and kid in self._listed():
            raise SealKeyMissingError(kid)
        if not known or not hmac.compare_digest(mac, self._mac(kid, topic, key or b"", value or b"")):
            message = "the record does not bear the platform's seal"
            raise UnauthenticatedError(message)

    def _mac(self, kid: str, topic: str, key: bytes, value: bytes) -> str:
        framed = b"".join((len(key).to_bytes(4, "big"), key, value))
        digest = hmac.digest(self._key(kid, topic), framed, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _key(self, kid: str, topic: str) -> bytes:
        name = kid, topic
        if name not in self._keys:
            info = f"headrace seal {self._cluster} {topic}".encode() + b"\x01"
            self._keys[name] = hmac.digest(self._secrets[kid], info, "sha256")
        return self._keys[name]


def key_id(seal: str | None) -> str:
    """Return the id of the key that a seal names, or an empty string for text that is no seal."""
    return _parts(seal)[1]


def _parts(seal: str | None) -> tuple[str, str, str]:
    parts = (seal or "").split(".")
    if len(parts) != 3 or not (seal or "").isascii():  # noqa: PLR2004 - version, kid, mac
        return "", "", ""
    return parts[0], parts[1], parts[2]
