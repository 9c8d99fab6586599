"""The page of a local platform."""

from __future__ import annotations

import aiohttp
import pytest
from pydantic import SecretStr

from ops.dev.page import Page
from ops.dev.platform import DevPlatform
from ops.settings import Settings

pytestmark = pytest.mark.anyio


def _platform() -> DevPlatform:
    settings = Settings(kafka_bootstrap="127.0.0.1:9092", valkey_url=SecretStr("redis://:geheim@127.0.0.1:6379/0"))
    return DevPlatform(settings, "c1", "http://127.0.0.1:1", "none", (), dict[str, int], dict[str, str])


async def test_the_page_masks_the_password_of_valkey() -> None:
    """Any user of the machine may open it; the scripts' line has the whole address."""
    page = Page(list[str], rows=_platform().rows())

    async with page.served(0) as address, aiohttp.ClientSession(address) as session, session.get("/") as answer:
        text = await answer.text()

    assert "redis://********@127.0.0.1:6379/0" in text
    assert "geheim" not in text
    assert "geheim" in _platform().valkey


@pytest.mark.parametrize("path", ["/", "/readyz", "/asyncapi.json", "/http_sd", "/nowhere"])
async def test_no_page_answers_another_sites_name(path: str) -> None:
    """DNS rebinding."""
    async with (
        Page(list[str]).served(0) as address,
        aiohttp.ClientSession(address) as session,
        session.get(path, headers={"Host": "evil.example"}) as answer,
    ):
        assert answer.status == 421


async def test_prometheus_finds_the_workers_of_now_at_one_address() -> None:
    """A worker that is started again has another port; Prometheus asks this page once a minute."""
    workers = {"ingress": "http://127.0.0.1:4001", "agent": "http://127.0.0.1:4002"}
    page = Page(list[str], lambda: workers)

    async with page.served(0) as address, aiohttp.ClientSession(address) as session:
        async with session.get("/http_sd") as answer:
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            first = await answer.json()
        workers["agent"] = "http://127.0.0.1:4009"
        async with session.get("/http_sd") as answer:
            second = await answer.json()

    assert first == [
        {"targets": ["127.0.0.1:4001"], "labels": {"__meta_headrace_stage": "ingress"}},
        {"targets": ["127.0.0.1:4002"], "labels": {"__meta_headrace_stage": "agent"}},
    ]
    assert [group["targets"] for group in second] == [["127.0.0.1:4001"], ["127.0.0.1:4009"]]
