"""A worker has the seal keys of its cluster, or it does not start."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from ops.errors import InvalidError, NoSealError, SealKeyError
from ops.seal_keys import added, check_seal_keys, listed, retired, seals_of
from ops.settings import Settings
from schemas.errors import UnauthenticatedError
from schemas.seals import SealKeyMissingError, Seals
from schemas.tenants import SealKeys, SealSecret
from streams.registry.tenants import TenantRegistry

CLUSTER = "cluster-1"
OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32


def text(**secrets: bytes) -> str:
    """The variable's value."""
    return ",".join(f"{kid}:{base64.b64encode(secret).decode()}" for kid, secret in secrets.items())


def settings(bootstrap: str = "kafka-1:9092", **secrets: bytes) -> Settings:
    """Of one stage."""
    return Settings(kafka_bootstrap=bootstrap, seal_secret=SecretStr(text(**secrets)) if secrets else None)


def fingerprints(**secrets: bytes) -> dict[str, str]:
    """As `topics apply` lists them."""
    return Seals(secrets, CLUSTER).fingerprints()


def registry(*gone: str, **secrets: bytes) -> TenantRegistry:
    """A cluster that lists these keys, and has retired others."""
    made = TenantRegistry()
    if secrets:
        made.seal_keys = SealKeys(fingerprints=fingerprints(**secrets), retired=gone)
    return made


def start(own: Settings, cluster: TenantRegistry) -> Seals:
    """What a stage does before anything else."""
    seals = seals_of(own, cluster, CLUSTER)
    check_seal_keys(seals, cluster)
    return seals


def test_a_fingerprint_belongs_to_one_secret_in_one_cluster() -> None:
    """It tells two secrets apart, and one cluster's list says nothing about another's."""
    assert fingerprints(k1=OLD) == fingerprints(k1=OLD)
    assert fingerprints(k1=OLD) != fingerprints(k1=OTHER)
    assert fingerprints(k1=OLD) != Seals({"k1": OLD}, "cluster-2").fingerprints()
    assert len(fingerprints(k1=OLD)["k1"]) == 32


@pytest.mark.parametrize(
    ("own", "cluster", "said"),
    [
        ({"k1": OTHER}, {"k1": OLD}, "another secret for the key k1"),
        ({"k2": NEW}, {"k1": OLD}, "lacks the seal key k1"),
        ({"k1": OLD}, {"k1": OLD, "k2": NEW}, "lacks the seal key k2"),
        ({"k2": NEW, "k1": OLD}, {"k1": OLD}, "names the key k2 first"),
        ({"k1": OLD, "k2": OTHER}, {"k1": OLD, "k2": NEW}, "another secret for the key k2"),
        ({"k1": OLD}, {}, "the cluster lists no seal key"),
    ],
)
def test_a_worker_that_does_not_fit_refuses_and_names_the_variable(
    own: dict[str, bytes], cluster: dict[str, bytes], said: str
) -> None:
    """It would dead-letter its share of all requests, or others would dead-letter its own."""
    with pytest.raises(SealKeyError, match=said) as caught:
        start(settings("kafka-1:9092", **own), registry(**cluster))

    assert "HEADRACE_SEAL_SECRET" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_worker_may_know_the_next_key_before_it_is_listed() -> None:
    """So the new key is everywhere before any stage seals with it; a retired one may go last."""
    assert start(settings(k1=OLD, k2=NEW), registry(k1=OLD)).first == "k1"
    assert start(settings(k2=NEW, k1=OLD), registry("k1", k2=NEW)).first == "k2"
    with pytest.raises(SealKeyError, match="names the key k1 first"):
        start(settings(k1=OLD, k2=NEW), registry("k1", k2=NEW))


def test_the_registrys_own_secret_counts_on_this_machine_only() -> None:
    """A made-up secret is one of the cluster's keys until it is retired."""
    cluster = registry(a1=OLD)
    cluster.secret = SealSecret(kid="a1", secret=OLD)

    assert start(settings("127.0.0.1:9092"), cluster).first == "a1"
    with pytest.raises(SealKeyError, match="names the key k1 first"):
        start(settings("127.0.0.1:9092", k1=NEW), cluster)
    with pytest.raises(NoSealError):
        start(settings(), cluster)
    cluster.seal_keys = SealKeys(fingerprints=fingerprints(k1=NEW), retired=("a1",))
    assert start(settings("127.0.0.1:9092", k1=NEW), cluster).first == "k1"
    with pytest.raises(NoSealError, match="HEADRACE_SEAL_SECRET"):
        start(settings("127.0.0.1:9092"), cluster)


@pytest.mark.parametrize(
    "secret", ["k1", "k1:", "k1:c2hvcnQ=", "k.1:" + "A" * 32, "k1:" + "A" * 32 + ",", ":" + "A" * 32]
)
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    """With the name of the variable, and without the secret."""
    own = Settings(kafka_bootstrap="kafka-1:9092", seal_secret=SecretStr(secret))

    with pytest.raises(InvalidError, match="HEADRACE_SEAL_SECRET") as caught:
        start(own, registry(k1=OLD))
    assert "c2hvcnQ" not in str(caught.value)


def test_keys_are_added_and_never_replaced() -> None:
    """Two operators with two secrets of one name: the second one is told."""
    assert added(fingerprints(k1=OLD), registry()) == SealKeys(fingerprints=fingerprints(k1=OLD))
    assert added(fingerprints(k1=OLD), registry(k1=OLD, k2=NEW)) is None
    with pytest.raises(SealKeyError, match="another secret for the key k1"):
        added(fingerprints(k1=OTHER), registry(k1=OLD))


def test_a_retired_key_stays_retired() -> None:
    """A script that still has it must not bring it back: stages without it could not start."""
    first = retired(["k1"], ["k2", "k1"], registry(k1=OLD, k2=NEW))
    assert first == SealKeys(fingerprints=fingerprints(k2=NEW), retired=("k1",))

    cluster = TenantRegistry()
    cluster.seal_keys = first
    assert retired(["k1"], ["k2"], cluster) is None
    assert added(fingerprints(k2=NEW, k1=OLD), cluster) is None
    assert listed(cluster) == fingerprints(k2=NEW)


@pytest.mark.parametrize("own", [["k1"], []])
def test_the_last_key_that_stages_have_is_not_retired(own: list[str]) -> None:
    """No stage could start any more."""
    with pytest.raises(SealKeyError, match="HEADRACE_SEAL_SECRET"):
        retired(["k1"], own, registry(k1=OLD, k2=NEW))
    with pytest.raises(SealKeyError, match="would be none"):
        retired(["k1", "k2"], own, registry(k1=OLD, k2=NEW))


def test_a_record_of_a_listed_key_that_is_missing_here_is_left_to_another_worker() -> None:
    """The worker is wrong, not the record: it ends, and does not dead-letter it. A key of nobody's is a forgery."""
    seal = Seals({"k2": NEW}, CLUSTER).seal("platform.screened", b"k", b"v")
    cluster = registry(k1=OLD)
    seals = start(settings(k1=OLD), cluster)

    with pytest.raises(UnauthenticatedError):
        seals.verify("platform.screened", b"k", b"v", seal)
    cluster.seal_keys = SealKeys(fingerprints=fingerprints(k1=OLD, k2=NEW))
    with pytest.raises(SealKeyMissingError, match="HEADRACE_SEAL_SECRET lacks the seal key k2"):
        seals.verify("platform.screened", b"k", b"v", seal)
