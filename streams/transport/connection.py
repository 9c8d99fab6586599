"""The connection settings of a Kafka cluster. Every client is made from this one value."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import KafkaError, collect_hosts, create_conn, errors
from streams.transport.errors import (
    AccessDeniedError,
    KafkaUnreachableError,
    TransportError,
    UntrustedBrokerError,
    own,
)

Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]

_RETRY_S = 0.3
_ANSWER_MS = 5_000
_KNOCK_S = 1.0


@dataclass(frozen=True, slots=True)
class Connection:
    """The broker addresses, protocol and credentials. ``ca_file`` is a PEM file; the default is the system's CAs."""

    bootstrap: str
    """One or more ``host:port``, separated by commas."""

    security_protocol: Protocol = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    refused_s: float | None = None
    """Seconds after which a connection that every address refuses is given up. None: at the deadline."""

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that every aiokafka client takes."""
        aiokafka_private.bound_frames()
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism or "PLAIN",
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options

    async def establish(self, start: Callable[[], Awaitable[object]], deadline_s: float) -> None:
        """Call *start* until it succeeds, because brokers may start later than this process.

        Raises KafkaUnreachableError after *deadline_s* seconds, or after ``refused_s`` if every address refuses. Raises
        AccessDeniedError and UntrustedBrokerError at once, because a retry cannot help.
        """
        reason: object = ""
        now = asyncio.get_running_loop().time
        answered = now()
        try:
            async with asyncio.timeout(deadline_s):
                while (reason := await self._attempt(start)) is not None:
                    if self.refused_s is not None:
                        answered = answered if await self._refused() else now()
                        if now() - answered > self.refused_s - _RETRY_S:
                            raise KafkaUnreachableError(self.bootstrap, "every address refuses the connection")
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError:
            raise KafkaUnreachableError(self.bootstrap, _said(reason, deadline_s)) from None

    async def _attempt(self, start: Callable[[], Awaitable[object]]) -> Exception | None:
        try:
            await start()
        except (KafkaError, OSError, TransportError) as error:
            silent = isinstance(error, errors.KafkaConnectionError)
            cause = (await self._cause() if silent else None) or error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise UntrustedBrokerError(self.bootstrap, cause.verify_message) from error
            if isinstance(translated := own(cause), AccessDeniedError):
                raise translated from error
            return cause
        return None

    async def _refused(self) -> bool:
        """Return True if every address refuses a connection or has no host. A silent host may still answer."""
        for host, port, _ in collect_hosts(self.bootstrap):
            try:
                async with asyncio.timeout(_KNOCK_S):
                    _, writer = await asyncio.open_connection(host, port)
            except TimeoutError:
                return False
            except OSError:
                continue
            writer.close()
            return False
        return True

    async def _cause(self) -> Exception | None:
        """Return the reason why brokers refuse the connection, if one gives it. aiokafka only logs that reason."""
        options = self.options()
        for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
            try:
                found = await create_conn(host, port, request_timeout_ms=_ANSWER_MS, **options)
            except ConnectionError:  # this broker is down; the next one may give a reason
                continue
            except (KafkaError, OSError) as error:
                return error
            found.close()
        return None


def _said(reason: object, deadline_s: float) -> object:
    """Return the last attempt's error, or the deadline's text if no broker answered."""
    silent = reason == "" or isinstance(reason, errors.KafkaConnectionError)
    return f"no answer within {deadline_s:g} s" if silent else reason
