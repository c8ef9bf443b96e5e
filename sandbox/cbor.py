"""As much of CBOR (RFC 8949) as Smithy's RPC v2 uses: what the CloudWatch client sends and expects."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

from sandbox.instants import SECOND, to_datetime, to_us


def dumps(value: Any) -> bytes:
    """
    None, bool, int, float, str, bytes, aware datetime (tag 1), list and dict with str keys.

    Raises:
        TypeError: anything else.
    """
    out = bytearray()
    _write(value, out)
    return bytes(out)


def loads(data: bytes) -> Any:
    """
    Raises:
        ValueError: not one whole CBOR item.
    """
    try:
        value, end = _read(data, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as exc:
        raise ValueError(f"broken CBOR: {exc}") from exc
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the CBOR item")
    return value


def _head(major: int, number: int, out: bytearray) -> None:
    if number < 24:
        out.append(major << 5 | number)
    elif number < 1 << 8:
        out += struct.pack(">BB", major << 5 | 24, number)
    elif number < 1 << 16:
        out += struct.pack(">BH", major << 5 | 25, number)
    elif number < 1 << 32:
        out += struct.pack(">BI", major << 5 | 26, number)
    else:
        out += struct.pack(">BQ", major << 5 | 27, number)


def _write(value: Any, out: bytearray) -> None:
    if value is None:
        out.append(0xF6)
    elif isinstance(value, bool):
        out.append(0xF5 if value else 0xF4)
    elif isinstance(value, int):
        _head(0, value, out) if value >= 0 else _head(1, -1 - value, out)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xFB, value)
    elif isinstance(value, str):
        data = value.encode()
        _head(3, len(data), out)
        out += data
    elif isinstance(value, bytes):
        _head(2, len(value), out)
        out += value
    elif isinstance(value, datetime):
        _head(6, 1, out)
        us = to_us(value)
        _write(us // SECOND if us % SECOND == 0 else us / SECOND, out)
    elif isinstance(value, list):
        _head(4, len(value), out)
        for item in value:
            _write(item, out)
    elif isinstance(value, dict):
        _head(5, len(value), out)
        for key, item in value.items():
            _write(key, out)
            _write(item, out)
    else:
        raise TypeError(f"no CBOR for {type(value).__name__}")


def _read(data: bytes, at: int) -> tuple[Any, int]:
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return _simple(data, at, info)
    if info == 31:
        return _indefinite(data, at, major)
    number, at = _number(data, at, info)
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        piece = data[at : at + number]
        if len(piece) < number:
            raise ValueError("broken CBOR: a string ends early")
        return (piece if major == 2 else piece.decode()), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _read(data, at)
            items.append(item)
        return items, at
    if major == 5:
        pairs: dict[Any, Any] = {}
        for _ in range(number):
            key, at = _read(data, at)
            pairs[key], at = _read(data, at)
        return pairs, at
    value, at = _read(data, at)
    return (to_datetime(round(value * SECOND)) if number == 1 else value), at


def _number(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    if info > 27:
        raise ValueError(f"broken CBOR: length code {info}")
    size = 1 << (info - 24)
    if at + size > len(data):
        raise ValueError("broken CBOR: a length ends early")
    return int.from_bytes(data[at : at + size], "big"), at + size


def _simple(data: bytes, at: int, info: int) -> tuple[Any, int]:
    if info in (20, 21, 22, 23):
        return {20: False, 21: True, 22: None, 23: None}[info], at
    form = {25: ">e", 26: ">f", 27: ">d"}.get(info)
    if form is None:
        raise ValueError(f"broken CBOR: simple value {info}")
    size = struct.calcsize(form)
    return struct.unpack(form, data[at : at + size])[0], at + size


def _indefinite(data: bytes, at: int, major: int) -> tuple[Any, int]:
    items = []
    while data[at] != 0xFF:
        item, at = _read(data, at)
        items.append(item)
    if major in (2, 3):
        return (b"" if major == 2 else "").join(items), at + 1
    if major == 4:
        return items, at + 1
    if major == 5:
        return dict(zip(items[::2], items[1::2], strict=True)), at + 1
    raise ValueError(f"broken CBOR: indefinite major type {major}")
