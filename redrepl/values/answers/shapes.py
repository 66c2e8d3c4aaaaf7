"""What our scripts and commands answer, at the one edge where answers come in: a node that says
anything else failed.

Plans take answers as they are. So each kind of question has the shape of its answers here, with
sizes and ranges; only what an answer means is left to the plans.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from redrepl.values import limits
from redrepl.values.effects import Answer, Command, PlainCommand, ScriptCall
from redrepl.values.operation import CHANGING, AnswerForm, OperationKind
from redrepl.values.reading import MOST_WORD_BYTES
from redrepl.values.record import VALUE, parse_record
from redrepl.values.stamp import STAMP_BYTES

Shape: TypeAlias = Callable[[Answer, int], bool]
"""Whether this answers a question about so many users' keys (of a plain command: so many
arguments).
"""

_is_stamp = re.compile(rb"[0-9a-f]{22}").fullmatch
_is_header = re.compile(rb"[0-9a-f]{22}[vd][0-9a-f]{12}").fullmatch
_is_number = re.compile(rb"[0-9]{1,20}").fullmatch
_is_epoch = re.compile(rb"[0-9]{0,9}").fullmatch
_is_id = re.compile(rb"[0-9]{1,20}-[0-9]{1,20}").fullmatch


def is_ours(command: Command, content: Answer) -> bool:
    """Whether a node of ours can have answered this."""
    if type(command) is ScriptCall:
        script = command.script
        if (
            content == 1 and script in _WRITES
        ):  # nearly every answer, so nothing else is done for it
            return True
        shape = _SCRIPTS.get(script) or _SCRIPTS.get(script.removesuffix("_oom"))
        if shape is None:
            return True
        name = script.removesuffix("_oom")
        if not shape(content, len(command.keys) - _FIRST_KEYS.get(name, 0)):
            return False
        return name not in _CLOSER or type(content) is not list or _CLOSER[name](command, content)
    known = _COMMANDS.get(command.arguments[0])
    return known is None or known(content, len(command.arguments) - 1)


def most_answer_bytes(command: Command) -> int:
    """How long an answer to this can be."""
    if type(command) is ScriptCall:
        is_short = command.script.removesuffix("_oom") in _SHORT_SCRIPTS
    else:
        assert isinstance(command, PlainCommand)
        is_short = command.arguments[0] in _SHORT_COMMANDS
    return limits.MAX_VERDICT_BYTES if is_short else limits.MAX_ANSWER_BYTES


def _is_write(content: Answer, keys: int) -> bool:
    if content == 1:
        return True
    if type(content) is not list or len(content) != 2 or content[0] not in (b"ok", b"has"):
        return _is_refusal(content, keys)
    return type(content[1]) is bytes and _is_stamp(content[1]) is not None


def _is_refusal(content: Answer, _: int = 0) -> bool:
    """A verdict that stored nothing."""
    if type(content) is not list or not content or not all(type(part) is bytes for part in content):
        return False
    verdict, *rest = content
    if verdict == b"refused":
        is_told = (
            len(rest) == 2 and _is_epoch(rest[0]) is not None and len(rest[1]) <= MOST_WORD_BYTES
        )
        return is_told and bool(
            rest[0] or not rest[1]
        )  # who is no member has neither epoch nor state
    if verdict in (b"expired", b"skewed"):
        return len(rest) == 1 and _is_number(rest[0]) is not None
    return verdict == b"foreign" and len(rest) == 1


def _is_turned_away(content: Answer) -> bool:
    """What a script answers that does nothing else but refuse where the node does not serve."""
    return type(content) is list and content[:1] == [b"refused"] and _is_refusal(content)


def _is_write_many(content: Answer, keys: int) -> bool:
    if content == 1:
        return True
    if type(content) is not list or not content or content[0] != b"some":
        return _is_refusal(content)
    parts = content[1:]
    return len(parts) % 3 == 0 and all(
        _is_index(index, keys) and _is_write([verdict, text], 1)
        for index, verdict, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    )


def _is_index(number: Answer, keys: int) -> bool:
    return type(number) is int and 0 <= number < keys


def _is_stamp_or_nothing(text: Answer) -> bool:
    return type(text) is bytes and (not text or _is_stamp(text) is not None)


def _is_operation(verdict: Answer, detail: Answer) -> bool:
    """What became of one operation; what it made is looked at with the operation in hand."""
    if type(detail) is not bytes:
        return False
    return verdict in (b"ok", b"unfit") or (verdict == b"unmet" and _is_stamp_or_nothing(detail))


def _is_whole(record: Answer) -> bool:
    try:
        return type(record) is bytes and bool(parse_record(record))
    except ValueError:
        return False


def _is_update(content: Answer, _: int) -> bool:
    if type(content) is list and len(content) == 2 and content[0] in (b"ok", b"unmet", b"unfit"):
        return _is_operation(*content)
    return _is_refusal(content)


def _fits_update(call: ScriptCall, content: list[Answer]) -> bool:
    """Whether the record is one that this operation makes."""
    return content[0] != b"ok" or _ANSWERS_OF_UPDATE.get(call.arguments[1], _is_whole)(content[1])


def _fits_transact(call: ScriptCall, content: list[Answer]) -> bool:
    """Whether there is an answer to each operation, of the kind that this has; see
    `transact.lua`.
    """
    expectations = call.arguments[3]
    assert type(expectations) is int
    names = call.arguments[4 + 2 * expectations + 1 :: 5]
    if content[0] == b"conflict":
        return len(content) > 1
    if content[0] == b"unfit":
        return int(content[1]) < len(names)
    if content[0] != b"done":
        return True
    pairs = list(zip(content[1::2], content[2::2], strict=True))
    return len(pairs) == len(names) and all(
        verdict != b"ok" or _ANSWERS_OF_TRANSACT.get(name, _is_stamp_alone)(detail)
        for name, (verdict, detail) in zip(names, pairs, strict=True)
    )


def _is_stamp_and_value(detail: bytes) -> bool:
    """The stamp, and then the value's record that was stored, or nothing."""
    stamp, before = detail[:STAMP_BYTES], detail[STAMP_BYTES:]
    is_value = not before or (_is_whole(before) and parse_record(before).kind == VALUE)
    return is_value and _is_stamp(stamp) is not None


def _is_stamp_alone(detail: bytes) -> bool:
    """All else of the record is known."""
    return _is_stamp(detail) is not None


def _check_of(kind: OperationKind) -> Callable[[bytes], bool]:
    """What tells whether an answer is one to this operation, where it carries more than a stamp."""
    is_payload = kind.is_payload
    if kind.answer is AnswerForm.BEFORE:
        return _is_stamp_and_value
    if is_payload is None:
        return _is_whole

    def is_whole_and_fits(detail: bytes) -> bool:
        try:
            return is_payload(parse_record(detail).payload)
        except ValueError:
            return False

    return is_whole_and_fits


_ANSWERS_OF_UPDATE: dict[bytes | int, Callable[[bytes], bool]] = {
    kind.wire: _check_of(kind) for kind in CHANGING
}
_ANSWERS_OF_TRANSACT: dict[bytes | int, Callable[[bytes], bool]] = {
    kind.wire: check
    for kind, check in zip(CHANGING, _ANSWERS_OF_UPDATE.values(), strict=True)
    if kind.answer is not AnswerForm.STAMP
}
"""By operation, what tells whether its answer can be ours.

`transact` answers all others with a stamp.
"""


def _is_transact(content: Answer, keys: int) -> bool:
    if (
        type(content) is not list
        or not content
        or content[0] not in (b"done", b"conflict", b"unfit")
    ):
        return _is_refusal(content)
    verdict, *parts = content
    if verdict == b"unfit":
        return (
            len(parts) == 2 and type(parts[0]) is int and parts[0] >= 0 and type(parts[1]) is bytes
        )
    if len(parts) % 2:
        return False
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    if verdict == b"conflict":
        return all(_is_index(index, keys) and _is_stamp_or_nothing(stamp) for index, stamp in pairs)
    return all(_is_operation(*pair) for pair in pairs)


def _is_read_many(content: Answer, keys: int) -> bool:
    if type(content) is not list or not content or content[0] != b"ok":
        return _is_turned_away(content)
    return min(keys, 1) <= len(content) - 1 <= keys and _are_texts_or_nothing(content)


def _is_headers(content: Answer, keys: int) -> bool:
    if type(content) is not list or len(content) != keys + 1 or content[0] != b"ok":
        return _is_turned_away(content)
    return all(
        type(each) is bytes and (not each or each == b"foreign" or _is_header(each) is not None)
        for each in content[1:]
    )


def _is_count(content: Answer, _: int) -> bool:
    """{'ok', how many}, or a refusal."""
    if type(content) is list and len(content) == 2 and content[0] == b"ok":
        return type(content[1]) is int and content[1] >= 0
    return _is_turned_away(content)


def _is_absorbed(content: Answer, _: int) -> bool:
    """{'ok', how many, id of an entry or nothing}, {'foreign', name}, 'purged', 'back', or a
    refusal.
    """
    if type(content) is list and len(content) == 3 and content[0] == b"ok":
        is_counted = type(content[1]) is int and content[1] >= 0
        return (
            is_counted
            and type(content[2]) is bytes
            and (not content[2] or _is_id(content[2]) is not None)
        )
    if content in ([b"purged"], [b"back"]) or _is_turned_away(content):
        return True
    return type(content) is list and content[:1] == [b"foreign"] and _is_refusal(content)


def _is_done(content: Answer, _: int) -> bool:
    return content in (0, 1) or _is_refusal(content)


def _is_replace(content: Answer, _: int) -> bool:
    if type(content) is list and len(content) == 2 and content[0] == b"changed":
        return _is_stamp_or_nothing(content[1])
    return content == 1 or _is_refusal(content)


def _is_change(content: Answer, _: int) -> bool:
    """Of a member: {'changed', epoch, state} where it was otherwise."""
    if content in (0, 1):
        return True
    return (
        type(content) is list
        and _are_short(content)
        and (content[:1] == [b"changed"]) == (len(content) == 3)
    )


def _is_enrolment(content: Answer, _: int) -> bool:
    if content == 1:
        return True
    return (
        type(content) is list
        and len(content) in (2, 5)
        and all(type(part) is bytes for part in content)
    )


def _are_short(parts: list[Answer]) -> bool:
    return bool(parts) and all(
        type(part) is bytes and len(part) <= MOST_WORD_BYTES for part in parts
    )


def _is_log_page(content: Answer, _: int) -> bool:
    match content:
        case [b"replaced"]:
            return True
        case [b"cut", bytes(floor)]:
            return _is_id(floor) is not None
        case [b"ok", entries, bytes(last), int(added)]:
            return _is_id(last) is not None and added >= 0 and _are_entries(entries, 0)
    return False


def _are_entries(entries: Answer, _: int) -> bool:
    """Entries of a stream, as XRANGE gives them."""
    return type(entries) is list and all(_is_entry(entry) for entry in entries)


def _is_entry(entry: Answer) -> bool:
    if (
        type(entry) is not list
        or len(entry) != 2
        or type(entry[0]) is not bytes
        or type(entry[1]) is not list
    ):
        return False
    fields = entry[1]
    return (
        len(fields) % 2 == 0
        and _is_id(entry[0]) is not None
        and all(type(field) is bytes for field in fields)
    )


def _is_hold(content: Answer, _: int) -> bool:
    if type(content) is list and len(content) == 3 and content[0] == b"ok":
        return (
            type(content[1]) is bytes and _is_id(content[1]) is not None and type(content[2]) is int
        )
    return _is_turned_away(content)


def _is_digest(content: Answer, keys: int) -> bool:
    if (
        type(content) is not list
        or len(content) != 3
        or type(content[0]) is not int
        or not 0 < content[0] <= keys
    ):
        return False
    _, sums, old = content
    if type(sums) is not list or type(old) is not list or len(sums) % 3 or len(old) % 2:
        return False
    is_old = all(
        _is_index(index, keys) and type(stamp) is bytes and _is_stamp(stamp) is not None
        for index, stamp in zip(*_halves(old), strict=True)
    )
    return is_old and all(
        type(count) is int
        and all(type(each) is bytes and _is_number(each) is not None for each in (number, total))
        for number, count, total in zip(sums[::3], sums[1::3], sums[2::3], strict=True)
    )


def _halves(flat: list[Answer]) -> tuple[list[Answer], list[Answer]]:
    return flat[::2], flat[1::2]


def _is_vouch(content: Answer, keys: int) -> bool:
    if type(content) is not list or not content or content[0] != b"ok":
        return _is_turned_away(content)
    is_whole = len(content) >= 4 and len(content) % 2 == 0 and len(content) <= 4 + 2 * keys
    return is_whole and all(type(part) is bytes for part in content)


def _is_number_reply(content: Answer, _: int) -> bool:
    return type(content) is int and content >= -1


def _is_probe(content: Answer, _: int) -> bool:
    if type(content) is not list or len(content) != 2:
        return False
    return (
        type(content[0]) is int and type(content[1]) is bytes and len(content[1]) <= MOST_WORD_BYTES
    )


def _is_text_or_nothing(content: Answer, _: int) -> bool:
    return content is None or type(content) is bytes


def _are_texts_or_nothing(content: Answer) -> bool:
    for each in content:  # noqa: SIM110  # three times as fast, and each read comes past here
        if each is not None and type(each) is not bytes:
            return False
    return True


def _is_mget(content: Answer, names: int) -> bool:
    return type(content) is list and len(content) == names and _are_texts_or_nothing(content)


def _is_time(content: Answer, _: int) -> bool:
    return (
        type(content) is list
        and len(content) == 2
        and _are_short(content)
        and all(map(_is_number, content))
    )


def _is_scan(content: Answer, _: int) -> bool:
    if (
        type(content) is not list
        or len(content) != 2
        or type(content[0]) is not bytes
        or type(content[1]) is not list
    ):
        return False
    return _is_number(content[0]) is not None and all(type(name) is bytes for name in content[1])


def _is_text(content: Answer, _: int) -> bool:
    return type(content) is bytes


_SCRIPTS: dict[str, Shape] = {
    "absorb": _is_absorbed,
    "change_member": _is_change,
    "checkpoint": _is_done,
    "confirm": _is_done,
    "digest": _is_digest,
    "disown": _is_done,
    "enrol": _is_enrolment,
    "headers": _is_headers,
    "hold": _is_hold,
    "leave": _is_done,
    "log_page": _is_log_page,
    "mend": _is_count,
    "note_sweep": _is_done,
    "note_walk": _is_done,
    "probe_write": _is_probe,
    "purge": _is_count,
    "read_many": _is_read_many,
    "replace": _is_replace,
    "transact": _is_transact,
    "trim": _is_count,
    "update": _is_update,
    "vouch": _is_vouch,
    "write": _is_write,
    "write_many": _is_write_many,
}
_LONG_SCRIPTS = {"inspect", "log_page", "read_many", "transact", "update", "vouch"}
_SHORT_SCRIPTS = _SCRIPTS.keys() - _LONG_SCRIPTS
_SHORT_COMMANDS = (b"DBSIZE", b"EXISTS", b"HGET", b"INFO", b"PING", b"TIME")
_WRITES = {"write", "write_oom", "write_many", "write_many_oom"}
_FIRST_KEYS = {
    "write": 2,
    "write_many": 2,
    "update": 2,
    "transact": 2,
    "read_many": 1,
    "headers": 1,
    "vouch": 4,
}
"""Keys of the bookkeeping, which come before the users'."""

_CLOSER: dict[str, Callable[[ScriptCall, list[Answer]], bool]] = {
    "update": _fits_update,
    "transact": _fits_transact,
}
"""Scripts whose answers depend on more than how many keys there are."""

_COMMANDS: dict[bytes | int, Shape] = {
    b"DBSIZE": _is_number_reply,
    b"EXISTS": _is_number_reply,
    b"GET": _is_text_or_nothing,
    b"HGET": _is_text_or_nothing,
    b"INFO": _is_text,
    b"MGET": _is_mget,
    b"SCAN": _is_scan,
    b"TIME": _is_time,
    b"XRANGE": _are_entries,
    b"XREVRANGE": _are_entries,
}
