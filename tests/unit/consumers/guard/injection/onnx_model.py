"""A tiny ONNX model, written byte by byte: it tells texts with a character above 9,000 from all others.

The encoding is that of onnx.proto3 of the ONNX project: protobuf fields by their numbers.
"""

from __future__ import annotations

import struct
from pathlib import Path

_FLOAT, _INT64 = 1, 7
_INT, _INTS = 2, 7


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _attribute(name: str, value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return _field(5, _field(1, name) + _field(3, value) + _field(20, _INT))
    return _field(5, _field(1, name) + b"".join(_field(8, each) for each in value) + _field(20, _INTS))


def _node(kind: str, inputs: tuple[str, ...], output: str, *attributes: bytes) -> bytes:
    names = b"".join(_field(1, name) for name in inputs) + _field(2, output)
    return _field(1, names + _field(4, kind) + b"".join(attributes))


def _value(number: int, name: str, kind: int, *sizes: int | str) -> bytes:
    sides = (_field(1, size) if isinstance(size, int) else _field(2, size) for size in sizes)
    shape = b"".join(_field(1, side) for side in sides)
    return _field(number, _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape))))


def write_model(directory: Path) -> None:
    """Write ``model.onnx``: logits ``(9000 - m, m - 9000)``, where m is the greatest of ``input_ids``."""
    limit = _field(1, 1) + _field(2, _FLOAT) + _field(8, "limit") + _field(9, struct.pack("<f", 9_000.0))
    graph = b"".join(
        (
            _node("Cast", ("input_ids",), "codes", _attribute("to", _FLOAT)),
            _node("ReduceMax", ("codes",), "most", _attribute("axes", [1]), _attribute("keepdims", 1)),
            _node("Sub", ("most", "limit"), "above"),
            _node("Neg", ("above",), "below"),
            _node("Concat", ("below", "above"), "logits", _attribute("axis", 1)),
            _field(2, "tiny"),
            _field(5, limit),
            _value(11, "input_ids", _INT64, 1, "length"),
            _value(12, "logits", _FLOAT, 1, 2),
        )
    )
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))
    (directory / "model.onnx").write_bytes(model)
