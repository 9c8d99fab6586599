"""Lua scripts of Valkey, called by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from consumers.valkey.link import Argument, ValkeyLink


class LuaScript(NamedTuple):
    """A Lua script and the digest by which Valkey knows it."""

    text: str
    sha: str


def lua_script(text: str) -> LuaScript:
    """Return the script with its digest."""
    return LuaScript(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


async def evaluate(link: ValkeyLink, script: LuaScript, keys: Sequence[str], *arguments: Argument) -> Any:  # noqa: ANN401 - any reply
    """Return the script's reply. A server that has restarted learns the script when it is sent in full.

    Raises ValkeyCallError.
    """
    call = (len(keys), *keys, *arguments)
    reply = await link.call("EVALSHA", script.sha, *call)
    return await link.call("EVAL", script.text, *call) if isinstance(reply, NoScriptError) else reply
