"""Odd answers of a provider, as tables: what a model port reads from them, and what it refuses."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sized

from consumers.agent.models.port import ModelUsage
from ops.embedded.scripts import ScriptedFault
from schemas.errors import LONGEST_WAIT_S, ModelError, ModelTimeoutError, ModelUnavailableError, ModelUnreadableError


def numbered(table: Sized) -> list[str]:
    """The names of the rows: their contents are too long to be names."""
    return [str(number) for number in range(len(table))]


NONE = ModelUsage()
BILLION = 1_000_000_000


def completion_with(
    *, message: str = '{"content": "hi"}', usage: str = "{}", model: str = '"m"', finish: str = '"stop"'
) -> str:
    """A completion of these parts, each as JSON."""
    choice = f'{{"message": {message}, "finish_reason": {finish}}}'
    return f'{{"model": {model}, "choices": [{choice}], "usage": {usage}}}'


def _content(content: bytes) -> bytes:
    return b'{"choices": [{"message": {"content": ' + content + b"}}]}"


UNREADABLE: tuple[bytes, ...] = (
    b"<html>secret gateway</html>",
    b"",
    b" ",
    b"{}",
    b"null",
    b"[1]",
    b'"secret"',
    b'{"choices": []}',
    b'{"choices": null}',
    b'{"choices": {}}',
    b'{"choices": "secret"}',
    b'{"choices": [{}]}',
    b'{"choices": [null]}',
    b'{"choices": [[]]}',
    b'{"choices": [{"message": null}]}',
    b'{"choices": [{"message": "secret"}]}',
    b'{"error": {"message": "secret", "code": 429}}',
    b'{"choices": [{"message": {"content": "secret',
    b'{"choices": ' + b"[" * 9_000,
    b'{"choices": ' + b"[" * 100_000,
    b"\x00\x01\x02\xff",
    b"\xff\xfe",
    _content(b"7"),
    _content(b"true"),
    _content(b'{"text": "secret"}'),
)

READABLE: dict[bytes, str] = {
    _content(b'"hi"') + b"\r\n\r\n": "hi",
    _content(b'[{"type": "text", "text": "a"}, {"type": "image_url"}, {"text": "b"}, "c", 7, null]'): "abc",
    _content(b"[]"): "",
    _content(b"null"): "",
    _content(b'null, "refusal": "no"'): "no",
    _content(b'"", "refusal": 7'): "",
    _content(b'"a\\ud800b"'): "a�b",
    _content(b'"a\\udc00\\ud83d\\ude00b"'): "a�\U0001f600b",
    _content(b'"a\xed\xa0\x80b"'): "a���b",
    _content(b'"caf\xe9"'): "caf�",
    _content(b'"a\x00\x1bb"'): "a\x00\x1bb",
    _content(b'"nul\\u0000"'): "nul\x00",
    b"\xef\xbb\xbf" + _content(b'"hi"'): "hi",
    _content(b'"hi"').decode().encode("utf-16"): "hi",
    _content(b'"hi"').decode().encode("utf-32-le"): "hi",
    _content(b'"one", "content": "two"'): "two",
    b'{"choices": [{"message": {"content": "hi"}, "x": NaN, "y": -Infinity, "z": 1e999}]}': "hi",
    b'{"choices": [{"message": {"content": "hi"}}], "x": 1' + b"0" * 5_000 + b"}": "hi",
    b'{"choices": [{"message": {"content": "hi"}}, 7, null]}': "hi",
    b'{"choices": [{"message": {"content": "hi"}, "logprobs": [' + b"0.1," * 5_000 + b"0]}]}": "hi",
    _content(b'"' + b'\\"' * 100_000 + b'"'): '"' * 100_000,
    _content(b'"' + b"[{," * 100_000 + b'"'): "[{," * 100_000,
}

USAGES: tuple[tuple[str, ModelUsage, str | None], ...] = (
    ('{"prompt_tokens": 3, "completion_tokens": 2}', ModelUsage(3, 2), None),
    ("{}", NONE, None),
    (
        '{"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}',
        ModelUsage(9, 2, 8),
        None,
    ),
    (
        '{"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}',
        ModelUsage(3, 2, 3),
        None,
    ),
    (
        '{"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": null}}',
        ModelUsage(3, 2),
        None,
    ),
    ('{"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": null}', ModelUsage(3, 2), None),
    ('{"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": [8]}', ModelUsage(3, 2), "usage"),
    (
        '{"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": "8"}}',
        ModelUsage(3, 2),
        "usage",
    ),
    ("null", NONE, "usage"),
    ("[]", NONE, "usage"),
    ("7", NONE, "usage"),
    ('{"prompt_tokens": null, "completion_tokens": null}', NONE, "usage"),
    ('{"prompt_tokens": -5, "completion_tokens": 1}', ModelUsage(0, 1), "usage"),
    ('{"prompt_tokens": 3.7, "completion_tokens": 1}', ModelUsage(4, 1), "usage"),
    ('{"prompt_tokens": 3.0, "completion_tokens": 1}', ModelUsage(3, 1), "usage"),
    (f'{{"prompt_tokens": {10**30}, "completion_tokens": {-(10**30)}}}', ModelUsage(BILLION, 0), "usage"),
    (f'{{"prompt_tokens": 1{"0" * 5_000}, "completion_tokens": 1}}', ModelUsage(BILLION, 1), "usage"),
    ('{"prompt_tokens": 1e400, "completion_tokens": -1e400}', ModelUsage(BILLION, 0), "usage"),
    ('{"prompt_tokens": NaN, "completion_tokens": Infinity}', ModelUsage(0, BILLION), "usage"),
    ('{"prompt_tokens": "12", "completion_tokens": true}', NONE, "usage"),
    ('{"prompt_tokens": [3], "completion_tokens": {"a": 1}}', NONE, "usage"),
)

ODD_FIELDS: tuple[tuple[str, str], ...] = (
    (completion_with(model="null"), "model"),
    (completion_with(model="7"), "model"),
    (completion_with(model='["m"]'), "model"),
    (completion_with(model=f'"{"m" * 5_000}"'), "model"),
    (completion_with(finish="7"), "finish_reason"),
    (completion_with(finish='["stop"]'), "finish_reason"),
    (completion_with(message='{"content": "hi", "tool_calls": 7}'), "tool_calls"),
    (completion_with(message='{"content": "hi", "tool_calls": [null, 7, {}]}'), "tool_calls"),
    (completion_with(message='{"content": "hi", "tool_calls": [{"function": {"name": null}}]}'), "tool_calls"),
    (completion_with(message='{"content": "hi", "tool_calls": [{"function": {"name": "rm"}}]}'), "tool_calls"),
)

UNOFFERED: tuple[str, ...] = (
    '{"content": null, "tool_calls": [{"id": "1", "function": {"name": "rm_rf", "arguments": "{}"}}]}',
    '{"content": "", "tool_calls": [{"function": {"name": null}}]}',
    '{"tool_calls": {"name": "rm_rf"}}',
    '{"content": null, "function_call": {"name": "rm_rf", "arguments": "{}"}}',
)

FAULTS: tuple[tuple[ScriptedFault, type[ModelError]], ...] = (
    (ScriptedFault(kind="cut"), ModelUnreadableError),
    (ScriptedFault(kind="reset"), ModelUnreadableError),
    (ScriptedFault(kind="close"), ModelUnavailableError),
    (ScriptedFault(kind="garbage"), ModelUnreadableError),
    (ScriptedFault(kind="long_header", size=1_000_000), ModelUnreadableError),
    (ScriptedFault(kind="many_headers", size=100_000), ModelUnreadableError),
    (ScriptedFault(kind="informational"), ModelTimeoutError),
    (ScriptedFault(kind="flood", size=300), ModelUnreadableError),
    (ScriptedFault(kind="flood"), ModelUnreadableError),
    (ScriptedFault(kind="drip"), ModelTimeoutError),
    (ScriptedFault(kind="bomb", size=200), ModelUnreadableError),
)

_MANY = b'{"choices": [{"message": {"content": "hi"}}], "x": [%b]}'
_PACKED = gzip.compress(_content(b'"hi"'))

TOO_MUCH: tuple[tuple[bytes, dict[str, str]], ...] = (
    (_content(b'"' + b"B" * 10_000_000 + b'"'), {}),
    (_MANY % b",".join([b"[]"] * 1_000_000), {}),
    (_MANY % b",".join([b"1"] * 1_000_000), {}),
    (_MANY % b",".join([b'""'] * 1_000_000), {}),
    (b'{"choices": [' + b",".join([b"{}"] * 1_000_000) + b"]}", {}),
    (b"{" + b",".join(b'"k%d":1' % number for number in range(200_000)) + b"}", {}),
    (b"not gzip", {"content-encoding": "gzip"}),
    (_PACKED[:10] + b"\xff" * 100, {"content-encoding": "gzip"}),
    (_PACKED[:-8] + b"\x00" * 8, {"content-encoding": "gzip"}),
    (gzip.compress(_PACKED), {"content-encoding": "gzip, gzip"}),
    (zlib.compress(b"[" * 10_000_000), {"content-encoding": "deflate"}),
    (_content(b'"hi"'), {"content-encoding": "br"}),
    (_content(b'"hi"'), {"content-encoding": "zstd"}),
    (_PACKED, {}),
)

ERROR_BODIES: tuple[tuple[int, bytes], ...] = tuple(
    (status, body)
    for status in (400, 429, 500)
    for body in (
        b"[1,2,3]",
        b'{"error": "secret"}',
        b'{"error": null}',
        b'{"error": []}',
        b'{"error": {"message": "secret", "type": 5, "code": 429}}',
        b'{"error": {"message": ["secret"], "type": ["x"], "code": {"a": 1}, "param": {"b": []}}}',
        b'{"error": {"type": {}, "code": [], "message": null}}',
        b'{"error": {"code": 1' + b"0" * 5_000 + b"}}",
        b"<html>secret</html>",
        b"",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b"x" * 10_000_000,
    )
)

COUNTED = ("retry_after",)

WAITS: tuple[tuple[dict[str, str], float | None, tuple[str, ...]], ...] = (
    ({"retry-after": "120"}, 120.0, ()),
    ({"retry-after": " 5 "}, 5.0, ()),
    ({"retry-after": "0.5"}, 0.5, ()),
    ({"retry-after": ""}, None, ()),
    ({"retry-after": "0"}, None, ()),
    ({"retry-after": "-5"}, None, COUNTED),
    ({"retry-after": "soon"}, None, COUNTED),
    ({"retry-after": "NaN"}, None, COUNTED),
    ({"retry-after": "inf"}, None, COUNTED),
    ({"retry-after": "1e9"}, None, COUNTED),
    ({"retry-after": "1_000"}, None, COUNTED),
    ({"retry-after": "5, 6"}, None, COUNTED),
    ({"retry-after": "9" * 200}, LONGEST_WAIT_S, COUNTED),
    ({"retry-after": "9" * 7_000}, None, COUNTED),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, ()),
    ({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}, LONGEST_WAIT_S, COUNTED),
    ({"retry-after": "Thu, 01 Jan 99999999999999999999 00:00:00 GMT"}, None, COUNTED),
    ({"retry-after": "Thu, 01 Jan 2099 00:00:00 +99999999999999999999"}, None, COUNTED),
    ({"retry-after": "Thu, 01 Jan 0000 00:00:00 GMT"}, None, ()),
    ({"retry-after": "Thu, 01 Jan 0100 00:00:00 +2300"}, None, ()),
    ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2300"}, LONGEST_WAIT_S, COUNTED),
    ({"retry-after": "Thu, 01 Jan 1970 99999999999:00:00 GMT"}, None, COUNTED),
    ({"retry-after-ms": "1500"}, 1.5, ()),
    ({"retry-after-ms": "1e400", "retry-after": "3"}, 3.0, ()),
    ({"retry-after-ms": "-1"}, None, COUNTED),
    ({"retry-after-ms": "0", "retry-after": "3"}, None, ()),
)
