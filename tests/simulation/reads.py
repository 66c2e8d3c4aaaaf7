"""The reads that scripts make most, served from fakeredis' data without its way of running a
command.

Nine of ten calls inside the library's scripts are reads. Each costs fakeredis some 40 µs for
signatures, protocol versions and notifications that the simulation does not use; here it costs a
few. What is not served here, a value of another type or an unusual argument, is left to fakeredis
(`NOT_SERVED`), and `test_servers` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakeredis.model._hash import Hash
from fakeredis.model._stream import StreamRangeTest, XStream

NOT_SERVED = object()


def serve(name: str, database: Any, arguments: tuple[Any, ...]) -> Any:
    """What this read returns: bytes, an integer, None or a list of these; `NOT_SERVED` to ask
    fakeredis.
    """
    read = _READS.get(name)
    return NOT_SERVED if read is None else read(database, arguments)


def _value(database: Any, key: bytes) -> Any:
    """What is held under this name, None where nothing is or it is past its time."""
    item = database._dict.get(key)
    if item is None or (item.expireat is not None and item.expireat < database.time):
        return None
    return item.value


def _fields(database: Any, key: bytes) -> Any:
    """The fields of a hash as a dict, empty where there is none; `NOT_SERVED` for another type or
    fields with times.
    """
    value = _value(database, key)
    if value is None:
        return {}
    if type(value) is not Hash or value._expiry_heap:
        return NOT_SERVED
    return value._values


def _get(database: Any, arguments: tuple[Any, ...]) -> Any:
    value = _value(database, arguments[0])
    return value if value is None or type(value) is bytes else NOT_SERVED


def _mget(database: Any, arguments: tuple[Any, ...]) -> Any:
    values = [_value(database, key) for key in arguments]
    return [value if type(value) is bytes else None for value in values]


def _strlen(database: Any, arguments: tuple[Any, ...]) -> Any:
    value = _get(database, arguments)
    return value if value is NOT_SERVED else len(value or b"")


def _getrange(database: Any, arguments: tuple[Any, ...]) -> Any:
    value = _get(database, arguments)
    start, end = int(arguments[1]), int(arguments[2])
    if value is NOT_SERVED or start < 0:
        return NOT_SERVED
    return (value or b"")[start : None if end == -1 else end + 1] if end >= -1 else NOT_SERVED


def _exists(database: Any, arguments: tuple[Any, ...]) -> Any:
    return sum(_value(database, key) is not None for key in arguments)


def _hget(database: Any, arguments: tuple[Any, ...]) -> Any:
    key, field = arguments
    fields = _fields(database, key)
    return fields if fields is NOT_SERVED else fields.get(field)


def _hmget(database: Any, arguments: tuple[Any, ...]) -> Any:
    key, *names = arguments
    fields = _fields(database, key)
    return fields if fields is NOT_SERVED else [fields.get(name) for name in names]


def _hgetall(database: Any, arguments: tuple[Any, ...]) -> Any:
    fields = _fields(database, arguments[0])
    return fields if fields is NOT_SERVED else [each for pair in fields.items() for each in pair]


def _hkeys(database: Any, arguments: tuple[Any, ...]) -> Any:
    fields = _fields(database, arguments[0])
    return fields if fields is NOT_SERVED else list(fields)


def _lrange(database: Any, arguments: tuple[Any, ...]) -> Any:
    value = _value(database, arguments[0])
    start, end = int(arguments[1]), int(arguments[2])
    if value is None:
        return []
    if type(value) is not list or start < 0 or end < -1:
        return NOT_SERVED
    return value[start : None if end == -1 else end + 1]


def _time(database: Any, _: tuple[Any, ...]) -> Any:
    seconds, micros = divmod(round(database.time * 1_000_000), 1_000_000)
    return [b"%d" % seconds, b"%d" % micros]


def _stream(database: Any, key: bytes) -> XStream | None:
    value = _value(database, key)
    return value if type(value) is XStream else None


def _xrange(database: Any, arguments: tuple[Any, ...]) -> Any:
    key, start, end, *options = arguments
    stream = _stream(database, key)
    if stream is None or (options and (len(options) != 2 or options[0] != b"COUNT")):
        return NOT_SERVED
    count = int(options[1]) if options else None
    first, last = StreamRangeTest.decode(start), StreamRangeTest.decode(end, missing_seq=2**64 - 1)
    return stream.irange(first, last, count=count)


def _xinfo_stream(database: Any, arguments: tuple[Any, ...]) -> Any:
    stream = _stream(database, arguments[0])
    return NOT_SERVED if stream is None or len(arguments) != 1 else stream.stream_info(False, False)


_READS: dict[str, Callable[[Any, tuple[Any, ...]], Any]] = {
    "get": _get,
    "mget": _mget,
    "strlen": _strlen,
    "getrange": _getrange,
    "exists": _exists,
    "hget": _hget,
    "hmget": _hmget,
    "hgetall": _hgetall,
    "hkeys": _hkeys,
    "lrange": _lrange,
    "time": _time,
    "xrange": _xrange,
    "xinfo stream": _xinfo_stream,
}
