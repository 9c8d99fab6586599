"""A seal is worth something for one record on one topic of one cluster, and for nothing else."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UnauthenticatedError
from schemas.seals import Seals

OLD, NEW = b"o" * 32, b"n" * 32
SEALS = Seals({"new": NEW}, "cluster-1")
TOPIC, KEY, VALUE = "platform.authorized", b"acme|lane", b'{"run_id": "run"}'
SEAL = SEALS.seal(TOPIC, KEY, VALUE)


def _believes(
    seals: Seals, seal: str | None, topic: str = TOPIC, key: bytes | None = KEY, value: bytes = VALUE
) -> bool:
    try:
        seals.verify(topic, key, value, seal)
    except UnauthenticatedError:
        return False
    return True


def test_a_seal_is_believed_for_what_it_was_put_on() -> None:
    """By every worker that has the secret."""
    assert _believes(SEALS, SEAL)
    assert _believes(Seals({"new": NEW}, "cluster-1"), SEAL)


def test_a_seal_is_hmac_under_a_key_of_its_own_for_each_topic() -> None:
    """RFC 5869's expand step, then RFC 2104: another implementation must come to the same."""
    topic_key = hmac.digest(NEW, b"headrace seal cluster-1 platform.authorized\x01", "sha256")
    mac = hmac.digest(topic_key, b"\x00\x00\x00\x09" + KEY + VALUE, "sha256")

    assert SEAL.split(".") == ["v1", "new", base64.urlsafe_b64encode(mac).decode().rstrip("=")]


@pytest.mark.parametrize(
    "change",
    [
        {"topic": "platform.screened"},
        {"key": b"acme|other"},
        {"key": None},
        {"key": KEY + VALUE[:1], "value": VALUE[1:]},
        {"value": VALUE + b" "},
        {"value": b""},
    ],
)
def test_a_seal_is_not_believed_on_another_record(change: dict[str, bytes]) -> None:
    """Copied to another topic, put on another value, or with the border of key and value moved."""
    assert not _believes(SEALS, SEAL, **change)  # type: ignore[arg-type]


def test_a_seal_of_another_secret_or_cluster_is_not_believed() -> None:
    """Also not where the secret has the same name."""
    assert not _believes(Seals({"new": OLD}, "cluster-1"), SEAL)
    assert not _believes(Seals({"other": NEW}, "cluster-1"), SEAL)
    assert not _believes(Seals({"new": NEW}, "cluster-2"), SEAL)


def test_the_old_secret_is_believed_until_it_is_gone() -> None:
    """Rotation: what was sealed before is still on its way."""
    old = Seals({"old": OLD}, "cluster-1").seal(TOPIC, KEY, VALUE)
    both = Seals({"new": NEW, "old": OLD}, "cluster-1")

    assert _believes(both, old)
    assert both.seal(TOPIC, KEY, VALUE) == SEAL
    assert not _believes(SEALS, old)


@pytest.mark.parametrize(
    "seal",
    [
        *(None, "", ".", "..", "v1.new.", "v1..x", "v1.new", SEAL + ".", SEAL[:-1], SEAL + "=", SEAL.upper()),
        *("v2" + SEAL[2:], SEAL.replace("new", "neu"), "v1.new.ä", "ä.ä.ä", SEAL.replace("v1.new", "v1.")),
    ],
)
def test_garbage_is_not_believed(seal: str | None) -> None:
    """Nor does it raise anything else."""
    assert not _believes(SEALS, seal)


@given(seal=st.text(max_size=80), key=st.none() | st.binary(max_size=8), value=st.binary(max_size=8))
def test_no_text_is_a_seal(seal: str, key: bytes | None, value: bytes) -> None:
    """A header of a foreign writer is any text."""
    assert not _believes(SEALS, seal, key=key, value=value)


@pytest.mark.parametrize("secrets", [{}, {"a.b": NEW}, {"": NEW}, {"ä": NEW}])
def test_secrets_that_could_not_be_named_in_a_seal_are_refused(secrets: dict[str, bytes]) -> None:
    """A name with a dot would seal everything and believe nothing."""
    with pytest.raises(ValueError, match="secret"):
        Seals(secrets, "cluster-1")
