"""Parsers of `redrepl.values`."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from enum import Enum
from typing import Any

from redrepl.values import limits
from redrepl.values.answers import is_ours, most_answer_bytes
from redrepl.values.answers.membership import (
    parse_change,
    parse_changes,
    parse_enrolment,
    parse_probe,
)
from redrepl.values.answers.reads import parse_headers, parse_read_many, parse_vouch
from redrepl.values.answers.refusals import parse_not_admitted, parse_refusal
from redrepl.values.answers.upkeep import (
    parse_absorb,
    parse_count,
    parse_hold,
    parse_log_page,
    parse_noted,
    parse_replace,
)
from redrepl.values.codec import JsonCodec, decoded
from redrepl.values.effects import Answer, Command, PlainCommand, ScriptCall
from redrepl.values.errors import ConfigError, RequestError, UndecodableValue
from redrepl.values.jobs import BRING_UP, SWEEP, Job, JobRefused, check_signature, read_job
from redrepl.values.keys import KeyLayout
from redrepl.values.level import ConsistencyLevel, parse_level, required_copies
from redrepl.values.member_state import MemberState
from redrepl.values.node_url import UNREADABLE, UnreadableUrl, parse_node_url, public_url
from redrepl.values.operation import INCREMENT, Operation, Preview, is_number, preview
from redrepl.values.preference import parse_preference
from redrepl.values.reading import entry_id, is_cursor, load_json, shown, whole_number, words
from redrepl.values.reasons import (
    advice_on,
    client_in,
    is_error_reply,
    is_refusal,
    kind_of,
    lost_connection,
    refuses_us,
)
from redrepl.values.record import Record, is_record, parse_record
from redrepl.values.report import Checkpoint, NodeReport, id_order
from redrepl.values.report_answer import UNREADABLE as UNREADABLE_ANSWER
from redrepl.values.report_answer import as_found_in, parse_report
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp, is_possible
from redrepl.values.sweep import Sweep, SweepReport, read_last, read_under_way
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from redrepl.values.validation import (
    check_integer,
    check_key,
    check_name,
    check_prefix,
    check_timeout,
    check_ttl,
)
from redrepl.values.walk import Walk, held_for, read_walk, walks_under_way
from tests.property.parsers.parser import Parser, text
from tests.support.answering import (
    HEADER,
    LAST,
    NAME,
    RECORD,
    STAMP,
    TOPOLOGY,
    WALK,
    decode_answer,
    encode_answer,
    inspection,
)
from tests.support.answering import (
    SWEEP as SWEEP_NOTE,
)


def _stamp(data: bytes) -> None:
    for each in (data, text(data)):
        assert Stamp.parse(each).encode() == data
    assert not is_possible(data) or Stamp.parse(data).micros <= limits.MAX_MICROS


def _record(data: bytes) -> None:
    assert is_record(data) or data[:0] == b""
    assert parse_record(data).encode() == data


def _number(data: bytes) -> None:
    for each in (data, text(data)):
        found = whole_number(each)
        assert 0 <= found < 1 << 63
        assert each in (b"%d" % found, str(found)) or each.startswith(
            ("0", b"0")[type(each) is bytes]  # type: ignore[arg-type]
        )  # of its own type


def _entry_id(data: bytes) -> None:
    found = entry_id(text(data))
    assert found == text(data)
    assert found.isascii()
    assert all(0 <= each < 1 << 64 for each in id_order(found))


def _small(data: bytes) -> None:
    """What raises nothing."""
    assert len(words(data)) <= 800
    assert len(shown(data)) <= 80
    assert not is_cursor(text(data)) or (text(data).isascii() and 0 <= int(data) < 1 << 64)
    assert not is_number(data) or (data.isascii() and len(data) <= 17 and int(data) < 1 << 60)


def _member_state(data: bytes) -> None:
    """Whatever a hash or a guard holds: it serves only where it is that very word."""
    for each in (data, text(data)):
        found = MemberState.parse(each)
        assert found.serves == (data == b"active")
        assert found is MemberState.UNKNOWN or found.encode() == data


def _checkpoint(data: bytes) -> None:
    found = Checkpoint.parse(text(data))
    assert Checkpoint.parse(found.encode().decode()) == found if data.isascii() else found


def _topology(data: bytes) -> None:
    found = Topology.parse(data)
    assert Topology.parse(found.encode()) == found
    for member in found.members:
        assert member.url == UNREADABLE or parse_node_url(member.url).public == member.url
        assert found.position_field(member.id).encode().isascii()
        found.restamp_writer(member.id)


def _sweep(data: bytes) -> None:
    found = Sweep.parse(text(data))
    assert Sweep.parse(found.encode().decode()) == found


def _sweep_report(data: bytes) -> None:
    found = SweepReport.parse(text(data))
    assert SweepReport.parse(found.encode().decode()) == found


def _walk(data: bytes) -> None:
    found = Walk.parse(text(data))
    assert Walk.parse(found.encode().decode()) == found


def _notes(data: bytes) -> None:
    """Notes in member hashes, which anybody may have written: None is what cannot be read."""
    note = data.decode("utf-8", "replace")
    read_under_way({"under_way": note})
    read_last({"last": note})
    report = _SOUND_REPORT.seen_by(TOPOLOGY)
    report.member.update({"walk b": note, "hold b": note})
    read_walk(report, "b")
    walks_under_way(report)
    held = held_for(report, "b", 600.0)
    assert held is None or held.entries >= 0 <= held.order[0]


_SOUND_REPORT = parse_report("a", inspection("a"), "run-1", (1.0, 2.0))


def _report(data: bytes) -> None:
    answer = decode_answer(data)
    try:
        found = parse_report("a", answer, "run-1", (1.0, 2.0))
    except UNREADABLE_ANSWER:
        assert len(as_found_in(answer)) == 4
        raise
    assert found.epoch >= found.lineage >= 0
    assert found.log.first_id == "" or id_order(found.log.first_id)
    for name in [name for name, each in vars(NodeReport).items() if isinstance(each, property)]:
        getattr(found, name)
    found.lag_of("b")
    if found.topology is not None:
        found.seen_by(found.topology)


def _job(data: bytes) -> None:
    read_job("redrepl-4-shop-b-0", data)


def _inflated_job(data: bytes) -> None:
    read_job("redrepl-4-shop-b-0", zlib.compress(data))


def _signature(data: bytes) -> None:
    check_signature(Job("shop", "b"), data, KEY)


def _url(data: bytes) -> None:
    found = parse_node_url(text(data))
    again = parse_node_url(found.public)
    assert (again.public, again.place, again.is_tls) == (found.public, found.place, found.is_tls)
    assert public_url(text(data)) == found.public
    assert len(found.public) <= limits.MAX_ADDRESS_CHARACTERS
    assert found.public.isascii()
    # What a configuration may have must be readable once it is stored.
    stored = Topology(
        "shop", 1, Mode.PRIMARY_REPLICA, (Member("a", found.public, NodeRole.PRIMARY),)
    )
    assert Topology.parse(stored.encode()) == stored
    assert found.path or found.host.encode("idna")


def _level(data: bytes) -> None:
    assert isinstance(parse_level(text(data)), (ConsistencyLevel, int))
    assert 0 <= required_copies(text(data), 2) <= 2


def _token(data: bytes) -> None:
    found = Session.from_token(text(data))
    again = Session.from_token(found.token())
    assert (again._seen, again._floor) == (found._seen, found._floor)
    assert all(0 < len(key) <= limits.MAX_KEY_BYTES for key in found._seen)
    assert len(found._seen) <= limits.SESSION_KEYS


def _json_value(data: bytes) -> None:
    JsonCodec[Any]().decode(data)


def _decoded_value(data: bytes) -> None:
    decoded(JsonCodec[Any](), "key", data)


def _note_text(data: bytes) -> None:
    load_json(data)
    load_json(text(data))


def _preview(data: bytes) -> None:
    amount = Operation("k", "k", b"k", INCREMENT, b"5")
    found = preview(Preview(data, 0), [amount], 0)
    assert found is not None
    assert int(found.payload) == int(data) + 5


def _arguments(data: bytes) -> None:
    """A caller's arguments: whatever a program passes on from its users."""
    checks: list[Any] = [
        check_key,
        check_prefix,
        lambda each: check_name("node id", each),
        parse_preference,
    ]
    number = int.from_bytes(data, "big")
    numbers: list[Any] = [
        check_ttl,
        check_timeout,
        lambda each: check_integer("amount", each),
        parse_level,
    ]
    numbers.append(lambda each: required_copies(each, 2))
    pairs = [(check, text(data)) for check in checks] + [(check, number) for check in numbers]
    for check, value in pairs:
        said = ""
        try:
            check(value)
        except RequestError as error:
            said = str(error)
        assert len(said) < 600


def _reasons(data: bytes) -> None:
    """A reason holds what a server said."""
    reason = data.decode("utf-8", "replace")
    for each in (reason, lost_connection(reason, 7)):
        kind_of(each)
        advice_on({"a": each})
        assert [is_refusal(each), is_error_reply(each), refuses_us(each)]
        found = client_in(each)
        assert found is None or found >= 0


_QUESTIONS: tuple[Command, ...] = (
    *(
        ScriptCall(name, (NAME,) * 6, (b"7", b"increment", 1, 0))
        for name in ("update", "transact", "inspect", "digest")
    ),
    *(
        ScriptCall(name, (NAME,) * 6, ())
        for name in ("write", "write_many_oom", "read_many", "headers", "vouch", "hold")
    ),
    *(
        ScriptCall(name, (NAME,) * 6, ())
        for name in ("log_page", "enrol", "change_member", "replace", "mend", "confirm")
    ),
    *(
        PlainCommand((name, b"k1", b"k2"))
        for name in (b"MGET", b"HGET", b"SCAN", b"TIME", b"INFO", b"XRANGE", b"DBSIZE")
    ),
)


def _answer(data: bytes) -> None:
    answer = decode_answer(data)
    for question in _QUESTIONS:
        assert is_ours(question, answer) in (True, False)
        assert most_answer_bytes(question) > 0


_MEANINGS: dict[str, Callable[[Answer], object]] = {
    "absorb": parse_absorb,
    "change_member": parse_change,
    "checkpoint": parse_noted,
    "confirm": parse_noted,
    "enrol": parse_enrolment,
    "headers": parse_headers,
    "hold": parse_hold,
    "log_page": parse_log_page,
    "mend": parse_count,
    "note_sweep": parse_noted,
    "note_walk": parse_noted,
    "probe_write": parse_probe,
    "purge": parse_count,
    "read_many": parse_read_many,
    "replace": parse_replace,
    "trim": parse_count,
    "vouch": parse_vouch,
}


def _meaning(data: bytes) -> None:
    """Of whatever can be the answer of one of our nodes something typed is made, and a refusal
    stays one.
    """
    answer = decode_answer(data)
    refused = parse_not_admitted(answer) if isinstance(answer, list) and len(answer) == 3 else None
    for name, parse in _MEANINGS.items():
        for keys in (4, 5, 6):
            if is_ours(ScriptCall(name, (NAME,) * keys, ()), answer):
                found = parse(answer)
                assert isinstance(found, (tuple, Enum)), name
                assert refused is None or name in _NEVER_REFUSE or found == refused, name
    parse_probe(answer)
    if is_ours(ScriptCall("change_member", (), ()), answer):
        assert parse_changes({"a": answer})["a"] == parse_change(answer)
    if isinstance(answer, list) and len(answer) > 2 and all(type(part) is bytes for part in answer):
        assert (parse_refusal(answer) == refused) or refused is None


_NEVER_REFUSE = {"change_member", "enrol", "log_page", "probe_write"}


def _names(data: bytes) -> None:
    layout = KeyLayout("shop")
    assert layout.user_key(layout.data(data)) == data


KEY = "a key of the cluster"
_JOB = json.dumps([BRING_UP, None, ["shop", "b"], {}]).encode()
_SESSION = Session({b"key": Stamp.parse(STAMP), b"\xff": Stamp(7, 7)}, Stamp(5, 5)).token().encode()
_SOUND_JSON = (b'{"a":[1,2.5,null,true,"x"],"b":{}}', b"[]", b"7", b'"text"')
_URLS = (
    b"redis://ada:secret@host:6379/3",
    b"rediss://[fe80::1%eth0]:7/0?ssl_ca_certs=/tmp/ca.pem&client_name=me&ssl_min_version=1.2",
    b"unix://:pw@/run/redis.sock?db=3",
    b"valkey://a.b.example.?db=2&username=ada",
)
_CHECKPOINT = b"inc 1-1 7 a inc-a 5-0 9 7"
_NONE: tuple[type[Exception], ...] = ()
_SOUND_ANSWERS: tuple[Answer, ...] = (
    1,
    [b"ok", 1],
    [b"ok", 1, b"1-1"],
    [b"ok", b"1-1", 1],
    [b"ok", None],
    [b"ok", HEADER],
    [b"ok", b"inc", b"1-1", b"inc 1-1 1", RECORD, b"1"],
    [b"ok", [[b"2-1", [NAME, STAMP]]], b"2-1", 2],
    [b"cut", b"1-1"],
    [b"changed", b"7", b"fenced"],
    [b"changed", STAMP],
    [b"member", b"shop", b"a", b"7", b"{}"],
    [b"occupied", b"bakery"],
    [b"refused", b"8", b"active"],
    [b"refused", b"", b""],
    [b"foreign", NAME],
    [b"expired", b"7"],
    [b"purged"],
    [b"back"],
    [0, b""],
)

PARSERS = (
    Parser("stamp", _stamp, (ValueError,), (STAMP, b"0" * 22)),
    Parser(
        "record",
        _record,
        (ValueError,),
        (RECORD, HEADER + b"0003|abcxyz", Record(Stamp(7, 7), b"d", 9, b"").encode()),
    ),
    Parser("number", _number, (ValueError,), (b"0", b"7", b"9223372036854775807")),
    Parser("entry id", _entry_id, (ValueError,), (b"0-0", b"1764000000000-12")),
    Parser("words", _small, _NONE, (b"-12", b"active", b"18446744073709551615")),
    Parser("member state", _member_state, _NONE, (b"active", b"syncing", b"fenced", b"")),
    Parser("note as JSON", _note_text, (ValueError,), _SOUND_JSON),
    Parser("checkpoint", _checkpoint, (ValueError,), (_CHECKPOINT,)),
    Parser("topology", _topology, (ConfigError,), (TOPOLOGY.encode().encode(),)),
    Parser("sweep", _sweep, (ValueError,), (SWEEP_NOTE.encode(),)),
    Parser("report of a sweep", _sweep_report, (ValueError,), (LAST.encode(),)),
    Parser("walk", _walk, (ValueError,), (WALK.encode(),)),
    Parser(
        "notes in a member hash",
        _notes,
        _NONE,
        (SWEEP_NOTE.encode(), LAST.encode(), WALK.encode(), b"1-1 7 1000600000"),
    ),
    Parser("inspection", _report, UNREADABLE_ANSWER, (encode_answer(inspection("a")),)),
    Parser(
        "answer of a node",
        _answer,
        _NONE,
        tuple(map(encode_answer, ([b"ok", STAMP], [b"ok", RECORD], [b"refused", b"7", b"x"]))),
    ),
    Parser(
        "meaning of an answer",
        _meaning,
        _NONE,
        tuple(map(encode_answer, _SOUND_ANSWERS)),
    ),
    Parser("job", _job, (JobRefused,), (zlib.compress(_JOB),)),
    Parser(
        "job inflated",
        _inflated_job,
        (JobRefused,),
        (_JOB, json.dumps([SWEEP, None, ["shop"], {}]).encode()),
    ),
    Parser(
        "signature",
        _signature,
        (JobRefused,),
        (b'{"signature":"%b"}' % Job("shop", "b").signature(KEY).encode(),),
    ),
    Parser("url", _url, (UnreadableUrl,), _URLS),
    Parser("level", _level, (RequestError,), (b"quorum", b"ONE", b"2", b"-1")),
    Parser("token", _token, (RequestError,), (_SESSION,)),
    Parser("value", _json_value, (ValueError,), _SOUND_JSON),
    Parser("value of a key", _decoded_value, (UndecodableValue,), _SOUND_JSON),
    Parser("counter", _preview, (RequestError,), (b"7", b"-12", b"0")),
    Parser("arguments", _arguments, (RequestError,), (b"key", b"shop-1", b"nearest", b"\x01\x00")),
    Parser(
        "reason",
        _reasons,
        _NONE,
        (b"OOM command not allowed", b"connection lost: x (client 7 of the server)"),
    ),
    Parser("name of a key", _names, _NONE, (b"key",)),
)
