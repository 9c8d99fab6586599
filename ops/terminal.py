"""Escape the characters by which data could control a terminal, or change the direction or the lines of a text.

Results, names and error messages hold text of tenants and of models. An operator's terminal obeys control characters:
they move the cursor, set the title, or write to the clipboard.
"""

from __future__ import annotations

_TEXT_LAYOUT = {ord("\n"): "\\n", ord("\t"): "\\t"}
_CONTROLS = [
    *range(0x20),  # C0, with ESC
    *range(0x7F, 0xA0),  # DEL and C1: one of them begins a control sequence, as ESC does
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # direction of the text
    *(0x2028, 0x2029),  # line and paragraph separators
    *(0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080)),  # invisible marks and tags
    *range(0xD800, 0xE000),  # halves of a character, which no output can encode
]


def _shown(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004 - two hexadecimal digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four of them


def _in_json(code: int) -> str:
    units = chr(code).encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


_TEXT = {code: _shown(code) for code in _CONTROLS if code not in _TEXT_LAYOUT}
_LINE = {**_TEXT, **_TEXT_LAYOUT}
_JSON = {code: _in_json(code) for code in _CONTROLS if code not in _TEXT_LAYOUT}


def escaped(text: str) -> str:
    """Return *text* with its control characters escaped. Line breaks and tabs stay."""
    return text if text.isprintable() else text.translate(_TEXT)


def one_line(value: object) -> str:
    """Return *value* as text of one line, with its control characters, line breaks and tabs escaped."""
    text = str(value)
    return text if text.isprintable() else text.translate(_LINE)


def escaped_json(text: str) -> str:
    """Return the JSON document *text* with its control characters escaped as JSON does: it has the same values."""
    return text if text.isascii() and "\x7f" not in text else text.translate(_JSON)
