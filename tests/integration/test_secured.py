"""A cluster behind TLS and passwords, as clusters are that are not on one's own machine."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ops.embedded import ports
from ops.embedded.kafka import embedded_kafka
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.errors import AccessDeniedError, UntrustedBrokerError
from tests.integration.engine_setup import engine_setup, eventually
from tests.integration.raw import RESOURCES, raw_client
from tests.integration.test_engine import a_moment
from tests.journey.platform import CLI, clean_environment, running

pytestmark = pytest.mark.anyio

PASSWORD = "not-a-secret"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
USERS = " ".join(f'user_{name}="{PASSWORD}"' for name in ("root", "headrace"))
PAGE = Path(__file__).parents[2] / "docs/howto/own-cluster.md"


@dataclass(frozen=True)
class Secured:
    """The way in, and another authority's certificate."""

    root: Connection
    """Of who may do anything."""

    headrace: Connection
    """Of who may do what the page says."""

    stranger: Path


@pytest.fixture(scope="module")
async def secured(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Secured]:
    """A broker with a second listener, which wants TLS and a password."""
    folder, authority, port = tmp_path_factory.mktemp("secured"), trustme.CA(), ports.free()
    ours, strangers, server = folder / "ca.pem", folder / "other.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(ours))
    trustme.CA().cert_pem.write_to_path(str(strangers))
    server.write_bytes(_identity(authority))
    async with embedded_kafka(folder / "kafka", embedded_cache, more=_listener(port, server)) as kafka:
        await _grant(kafka.bootstrap)
        root = Connection(f"{ports.LOOPBACK}:{port}", "SASL_SSL", "PLAIN", "root", PASSWORD, str(ours))
        yield Secured(root, replace(root, username="headrace"), strangers)


async def _grant(bootstrap: str) -> None:
    """What the page says that the account has to be allowed, and nothing else."""
    _, *rows = re.findall(r"^\| ([a-z ]+) \| (.*) \| ([a-z, ]+) \|$", PAGE.read_text(), re.MULTILINE)
    assert {resource for resource, _, _ in rows} == set(RESOURCES)
    async with raw_client(bootstrap) as client:
        for resource, names, operations in rows:
            for prefix in re.findall(r"`(.*?)\*`", names) or [""]:
                for operation in operations.split(", "):
                    await client.grant("User:headrace", resource, prefix, operation)


def _identity(authority: trustme.CA) -> bytes:
    """A key in the only form that Kafka reads, and its certificates."""
    issued = authority.issue_cert(ports.LOOPBACK)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join([pem, *(each.bytes() for each in issued.cert_chain_pems)])


def _exported(way: Connection) -> dict[str, str]:
    """What a shell exports to go the *way*."""
    return {
        "HEADRACE_KAFKA_BOOTSTRAP": way.bootstrap,
        "HEADRACE_KAFKA_SECURITY_PROTOCOL": way.security_protocol,
        "HEADRACE_KAFKA_SASL_MECHANISM": way.sasl_mechanism or "",
        "HEADRACE_KAFKA_USERNAME": way.username or "",
        "HEADRACE_KAFKA_PASSWORD": way.password or "",
        "HEADRACE_KAFKA_CA_FILE": way.ca_file or "",
    }


def _listener(port: int, server: Path) -> dict[str, str]:
    own = "listener.name.secured"
    return {
        "listeners": f"SECURED://{ports.LOOPBACK}:{port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,CLIENT:PLAINTEXT,SECURED:SASL_SSL",
        f"{own}.sasl.enabled.mechanisms": "PLAIN",
        f"{own}.plain.sasl.jaas.config": f"{LOGIN} {USERS};",
        f"{own}.ssl.keystore.type": "PEM",
        f"{own}.ssl.keystore.location": str(server),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:root",
    }


async def test_workers_do_over_tls_with_a_password_what_they_do_without(secured: Secured) -> None:
    """Ownership, fetches, offsets, transactions, admin: whatever opens a connection of its own."""
    async with engine_setup(secured.root) as setup:
        await setup.provision()
        await setup.feed(200, keys=40)
        async with setup.worker(setup.handler(a_moment)) as first, setup.worker(setup.handler(a_moment)) as second:
            await eventually(lambda: bool(first.owned and second.owned))
            await setup.feed(100, keys=40)
            await setup.collect(300)
            await setup.committed_to_the_end()
        await setup.judge()
        assert set(setup.runs.values()) == {1}


async def test_a_wrong_password_is_said_at_once(secured: Secured) -> None:
    """And not found out by waiting."""
    with pytest.raises(AccessDeniedError):
        await Admin.open(replace(secured.root, password="wrong"), deadline_s=60)


async def test_a_broker_that_nobody_vouches_for_gets_no_password(secured: Secured) -> None:
    """A certificate that another authority signed is not an outage, and no waiting mends it."""
    with pytest.raises(UntrustedBrokerError, match="unable to get local issuer certificate"):
        await Admin.open(replace(secured.root, ca_file=str(secured.stranger)), deadline_s=60)


async def test_the_whole_way_from_a_bare_cluster_to_an_answer(secured: Secured, tmp_path: Path) -> None:
    """As docs/howto/own-cluster.md says it, with what a command says when it is not let in."""
    environment = {**clean_environment(), **_exported(secured.headrace)}

    async def headrace(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [*CLI, *arguments]
        run = partial(subprocess.run, command, cwd=tmp_path, env=environment | changes, capture_output=True, text=True)
        return await asyncio.to_thread(run, timeout=60)

    refused = await headrace("topics", "plan", HEADRACE_KAFKA_PASSWORD="wrong")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "check HEADRACE_KAFKA_USERNAME and _PASSWORD" in refused.stderr

    assert (await headrace("topics", "apply", "--journey", "compact", "--shards", "4")).returncode == 0
    assert (await headrace("tenants", "add", "acme", "--agent", "echo", "--no-wait")).returncode == 0
    with ExitStack() as stages:
        for stage in ("ingress", "agent"):
            (folder := tmp_path / stage).mkdir()
            stages.enter_context(running([*CLI, "run", stage], folder, environment))
        answered = await headrace("submit", "--tenant", "acme", "--agent", "echo", "--wait", "hello")
    assert (answered.returncode, "hello" in answered.stdout) == (0, True), answered.stderr
