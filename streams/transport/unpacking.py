"""Bounded decompression of a record batch: the first bytes of its records, at most a given number."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import TypeAlias

import cramjam

_STEP = 256 * 1024
_GZIP = b"\x1f\x8b"
_ZLIB_GZIP = 31  # zlib's code for a stream with a gzip header
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEAD = 16
_BLOCK = struct.Struct(">I")
_FULL = "failed to write whole buffer"
_FIRST_GUESS = 8
"""The buffer for lz4 and zstd is first this many times the compressed size. The whole limit is rarely needed."""


Decoder: TypeAlias = Callable[[bytes, int], bytes]


def unpacked(body: bytes, codec: int, limit: int) -> bytes:
    """Return at most *limit* bytes of the records that *body* holds. Raise any exception for damaged data.

    Memory is proportional to *limit* and to *body*, not to the sizes that the data claim.
    """
    return _DECODERS[codec](body, limit) if codec else body


def _gzip(body: bytes, limit: int) -> bytes:
    out, rest = bytearray(), body
    while rest[:2] == _GZIP:  # one file may follow another
        stream = zlib.decompressobj(_ZLIB_GZIP)
        while not stream.eof:
            if len(out) > limit:
                return bytes(out[:limit])
            piece = stream.decompress(rest, _STEP)
            if not piece and not stream.unconsumed_tail and not stream.eof:
                raise ValueError("the gzip data are truncated")
            out += piece
            rest = stream.unconsumed_tail
        rest = stream.unused_data
    if not out and body[:2] != _GZIP:
        raise ValueError("the data are not gzip")
    return bytes(out[:limit])


def _snappy(body: bytes, limit: int) -> bytes:
    if not body.startswith(_XERIAL):
        return _snappy_block(body, limit)
    out, at = bytearray(), _XERIAL_HEAD
    while at < len(body):
        (size,) = _BLOCK.unpack_from(body, at)
        block = body[at + _BLOCK.size : at + _BLOCK.size + size]
        if cramjam.snappy.decompress_raw_len(block) > limit - len(out):
            break
        out += _snappy_block(block, limit)
        at += _BLOCK.size + size
    return bytes(out)


def _snappy_block(block: bytes, limit: int) -> bytes:
    """Unpack one block if it claims no more than *limit* bytes. Such a block cannot be unpacked in part."""
    return b"" if cramjam.snappy.decompress_raw_len(block) > limit else bytes(cramjam.snappy.decompress_raw(block))


def _framed(decompress_into: Callable[..., int]) -> Decoder:
    """Return the decoder for a format whose library fills a buffer of fixed size."""

    def decoded(body: bytes, limit: int) -> bytes:
        size = min(limit, _FIRST_GUESS * len(body) + _STEP)
        while True:
            buffer = bytearray(size)
            try:
                return bytes(buffer[: decompress_into(body, buffer)])
            except cramjam.DecompressionError as error:
                if str(error) != _FULL:
                    raise
            if size >= limit:
                return bytes(buffer)
            size = limit

    return decoded


_DECODERS: dict[int, Decoder] = {
    1: _gzip,
    2: _snappy,
    3: _framed(cramjam.lz4.decompress_into),
    4: _framed(cramjam.zstd.decompress_into),
}
