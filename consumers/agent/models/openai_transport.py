"""The transport below the OpenAI SDK. The SDK's own reads an answer of any size, and keeps the provider's cookies."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2

from consumers.agent.models.provider_http import ProviderHttp


@dataclass(frozen=True, slots=True)
class AnswerTransport(httpx2.AsyncBaseTransport):
    """Sends requests, and returns answers that are read to their end."""

    provider: ProviderHttp

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer. Raises a ModelError if there is none, or if an answer of status 2xx cannot be read."""
        answer = await self.provider.send(request.method, str(request.url), request.headers, request.content)
        return httpx2.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.provider.http.close()
