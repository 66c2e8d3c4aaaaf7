"""What comes from outside is taken as redrepl and its servers write it, and in no other form that
Python knows.
"""

from __future__ import annotations

import base64
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import hiredis
import pytest

from redrepl.edges.configuration import configuration_of, load_configuration
from redrepl.edges.connection import NodeConnection
from redrepl.edges.endpoint import Endpoint, split_url
from redrepl.edges.files import FileUnreadable, read_text
from redrepl.edges.tls import TlsFileError, TlsSettings
from redrepl.plans.operations.read import read_decider
from redrepl.plans.view import Refused, epoch_in_refusal
from redrepl.values import limits
from redrepl.values.codec import JsonCodec
from redrepl.values.errors import ConfigError, RedreplError, RequestError
from redrepl.values.level import parse_level, required_copies
from redrepl.values.node_url import UnreadableUrl, parse_node_url
from redrepl.values.operation import INCREMENT, Operation, Preview, preview
from redrepl.values.reading import entry_id, is_cursor, load_json, shown, whole_number, words
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp
from redrepl.values.sweep import Sweep
from redrepl.values.topology import Topology
from redrepl.values.validation import check_integer, check_timeout, check_ttl
from redrepl.values.walk import Walk, held_for, read_walk
from redrepl_cli.commands.discarded import _moment
from redrepl_cli.parameters import PROBABILITY, FiniteRange
from tests.support.answering import SWEEP, TOPOLOGY, WALK
from tests.unit.support.by_hand import ByHand, view
from tests.unit.support.reports import report

THREE = "\u0663"
HUGE = 10**5000


def _shortly(value: object) -> str:
    return ascii(value)[:30]


NUMBERS = [
    "",
    "+5",
    "-0",
    "-1",
    " 7",
    "7\n",
    "1_000",
    THREE,
    "1e3",
    "0x7",
    "9" * 5000,
    "9223372036854775808",
]


@pytest.mark.parametrize("text", NUMBERS, ids=_shortly)
def test_forms_of_numbers_that_no_server_writes_are_none(text: str) -> None:
    for each in (text, text.encode()):
        with pytest.raises(ValueError, match="not a whole number"):
            whole_number(each)
    assert not is_cursor(text) or text == "9223372036854775808"
    assert whole_number("0") == whole_number(b"00") == 0
    assert whole_number(b"9223372036854775807") == whole_number((1 << 63) - 1) == (1 << 63) - 1


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 7.0, True, None, [7], 1 << 63, -1])
def test_values_that_are_no_whole_numbers_are_none(value: Any) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        whole_number(value)


@pytest.mark.parametrize(
    "text", [f"{THREE}-0", "1-", "1-1-1", "1-1\n", f"{1 << 64}-0", f"0-{1 << 64}", "1" * 21 + "-0"]
)
def test_ids_that_no_server_gives_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="not the id of an entry"):
        entry_id(text)
    assert entry_id(f"{(1 << 64) - 1}-0")


def test_json_is_bounded_in_length_and_depth() -> None:
    assert load_json(b'{"a":1}') == {"a": 1}
    for text in (
        "[" * 50_000,
        " " * (limits.MAX_NOTE_BYTES + 1),
        '{"a":' + "9" * 5000 + "}",
        "nothing",
    ):
        with pytest.raises(ValueError, match=r"nested|bytes|digits|Expecting"):
            load_json(text)
    with pytest.raises(ValueError, match="nested"):
        JsonCodec[Any]().decode(b"[" * 100_000)


def test_words_and_values_in_messages_are_bounded() -> None:
    assert words(b"active") == "active"
    assert words(b"\xff\x00ok") == "\\xff\x00ok"
    assert len(words(b"\xff" * 10_000)) <= 800
    assert shown(HUGE) == f"a number of {HUGE.bit_length()} bits"
    assert shown([HUGE]) == "a value of type list"
    assert shown("x" * 900) == "'" + "x" * 79


@pytest.mark.parametrize(
    "began", [["1-1", float("inf")], ["1-1", 7.5], ["1-1", True], [f"{THREE}-1", 7], ["1-1", "+7"]]
)
def test_a_walk_that_began_nowhere_is_none(began: list[Any]) -> None:
    note = json.dumps({**json.loads(WALK), "began": began})
    with pytest.raises(ValueError, match="not "):
        Walk.parse(note)
    assert read_walk(report("c", member={"walk a": note}), "a") is None
    assert read_walk(report("c", member={"walk a": WALK}), "a") is not None


@pytest.mark.parametrize("cursor", [THREE, "1" * 5000, str(1 << 64), "-1", "+1", ""], ids=_shortly)
def test_a_cursor_that_no_server_gives_is_none(cursor: str) -> None:
    for note, kind in ((WALK, Walk), (SWEEP, Sweep)):
        with pytest.raises(ValueError, match="no cursor"):
            kind.parse(json.dumps({**json.loads(note), "cursor": cursor}))


@pytest.mark.parametrize("place", ["1-1 -7", "x 7", "1-1 7_0", f"{THREE}-1 7"])
def test_a_hold_at_no_place_holds_nothing(place: str) -> None:
    until = "1000000300"
    assert held_for(report("a", member={"hold c": f"{place} {until}"}), "c", 600.0) is None
    assert held_for(report("a", member={"hold c": f"1-1 7 {until}0"}), "c", 600.0) is None
    assert held_for(report("a", member={"hold c": f"1-1 7 {until}"}), "c", 600.0) == ("1-1", 7)


@pytest.mark.parametrize("identity", ["\ud800", "a b", "\u00e9", "x" * 200], ids=_shortly)
def test_an_identity_that_could_not_be_sent_is_none(identity: str) -> None:
    members = tuple(replace(member, identity=identity) for member in TOPOLOGY.members)
    with pytest.raises(ConfigError, match="not a"):
        Topology.parse(replace(TOPOLOGY, members=members).encode())


def _token(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()


@pytest.mark.parametrize(
    "token",
    [
        _token(b"[" * 100_000),
        _token(b'{"seen":{},"floor":"' + b"f" * 22 + b'"}'),
        _token(b'{"seen":{"":"' + b"0" * 22 + b'"},"floor":"' + b"0" * 22 + b'"}'),
        _token(b'{"seen":{"YQ":"' + b"0" * 22 + b'"},"floor":"' + b"0" * 22 + b'"}'),
        _token(b'{"seen":{},"floor":' + b"9" * 5000 + b"}"),
        Session().token() + "!",
        "x" * 10_000_000,
        "\ud800",
    ],
    ids=[
        "deep",
        "out of range",
        "empty key",
        "a key cut off",
        "huge number",
        "other letters",
        "long",
        "surrogate",
    ],
)
def test_a_token_that_a_user_made_up_is_refused(token: str) -> None:
    with pytest.raises(RequestError, match="session token cannot be read") as refused:
        Session.from_token(token)
    assert len(str(refused.value)) < 300
    assert ("characters, allowed are" in str(refused.value)) == (len(token) > 4_000_000), (
        "a long one is not decoded at all"
    )


def test_a_session_of_long_keys_has_a_token_that_can_be_read() -> None:
    keys = [b"%05d" % number + b"k" * 3000 for number in range(1000)]
    session = Session({key: Stamp(number + 1, 1) for number, key in enumerate(keys)}, Stamp(1, 1))
    token = session.token()
    again = Session.from_token(token)
    assert len(token) < 4 * limits.MAX_TOKEN_BYTES / 3 + 4
    assert again.at_least(keys[-1]) == session.at_least(keys[-1])
    assert all(again.at_least(key) >= session.at_least(key) for key in keys)
    assert again.at_least(keys[0]) < again.at_least(keys[-1]), "the floor covers the oldest alone"


@pytest.mark.parametrize(
    "held", [b" 5", b"+5", b"1_0", b"5\n", b"", b"-", b"9" * 18, b"9" * 5000], ids=_shortly
)
def test_a_value_that_the_server_cannot_count_from_is_none_before_it_is_sent_too(
    held: bytes,
) -> None:
    with pytest.raises(RequestError, match="is no whole number"):
        preview(Preview(held, 0), [Operation("k", "k", b"k", INCREMENT, b"5")], 0)


def test_huge_numbers_are_refused_in_words() -> None:
    for check in (check_ttl, check_timeout, lambda each: check_integer("amount", each)):
        for value in (HUGE, -HUGE):
            with pytest.raises(RequestError, match="a number of"):
                check(value)
    assert parse_level(HUGE) == HUGE
    for level in ("9" * 5000, THREE, "1_0", HUGE):
        with pytest.raises(RequestError):
            required_copies(level, 2)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://host:{THREE}",
        f"redis://host/{THREE}",
        "redis://b\u00fccher.example",
        "redis://a..b",
        f"redis://{'a' * 64}.example",
        f"redis://{'a.' * 200}b",
        "redis://[..]",
        "redis://[1:2]",
        "unix:///run/r\u00e9dis.sock",
        f"unix:///{'x' * 2000}",
        f"redis://host?ssl_ca_data={'x' * 70_000}",
    ],
    ids=_shortly,
)
def test_an_address_that_no_resolver_takes_or_no_topology_holds_is_refused(url: str) -> None:
    with pytest.raises(UnreadableUrl):
        parse_node_url(url)
    assert parse_node_url("unix:///run/r%C3%A9dis.sock").path == "/run/r\u00e9dis.sock"
    assert parse_node_url("redis://[fe80::1%eth0]:7").host == "fe80::1%eth0"
    assert parse_node_url("redis://a_b.example.:7").host == "a_b.example."


CONFIGURATION = 'cluster = "shop"\n[[nodes]]\nid = "a"\nurl = "redis://a"\nrole = "primary"\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"tick_seconds = {'9' * 400}", "tick_seconds must be a number"),
        (f"log_cap_entries = {'9' * 5000}", "digits"),
        ("log_cap_entries = 9007199254740993", "log_cap_entries must be 9007199254740992 at most"),
        ("tick_seconds = 1e300", "tick_seconds must be 3153600000 at most"),
        ("max_age_seconds = 2e7", "max_age_seconds must be 10000000 at most"),
        (f"x = {'[' * 30_000}", "nested too deeply"),
        ('queue_key_file = "a\\u0000b"', "queue_key_file .* is no name of a file"),
        ("#" * 300_000, "has more than 262144 bytes"),
    ],
    ids=_shortly,
)
def test_a_file_with_what_is_huge_or_none_is_refused_in_words(
    tmp_path: Path, line: str, said: str
) -> None:
    file = tmp_path / "redrepl.toml"
    file.write_text(f"{line}\n{CONFIGURATION}", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load_configuration(file, environment={})


@pytest.mark.parametrize(
    "text", [THREE, "1_0", "infinity", "nan", "9" * 400, "0x1", "1e", "\ud800"], ids=_shortly
)
def test_a_variable_that_is_no_number_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "redrepl.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    with pytest.raises(ConfigError, match="environment variable REDREPL_TICK_SECONDS"):
        load_configuration(file, environment={"REDREPL_TICK_SECONDS": text})
    assert (
        load_configuration(file, environment={"REDREPL_TICK_SECONDS": " 1.5e1 "}).tick_seconds
        == 15.0
    )
    with pytest.raises(ConfigError, match="password is no UTF-8 text"):
        load_configuration(file, environment={"REDREPL_PASSWORD": "\udcff"})


def test_names_of_files_with_nul_are_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="is no name of a file"):
        load_configuration("a\0b", environment={})
    endpoint = split_url("a", "redis://a?password_file=%00")
    with pytest.raises(TlsFileError, match="is no name of a file"):
        endpoint.current_password()
    with pytest.raises(FileUnreadable, match="has more than"):
        read_text("/dev/zero")
    with pytest.raises(TlsFileError, match=r"tls\.ca"):
        TlsSettings(ca_text="\u00e9").make_context()
    with pytest.raises(ConfigError, match="server_name"):
        TlsSettings(server_name=".example")
    assert TlsSettings(server_name="::1").server_name == "::1"


def test_routes_that_are_none_are_refused_in_words() -> None:
    for routes in ({"b": 7}, ["redis://b"], {7: "redis://b"}):
        with pytest.raises(RequestError, match="connect_urls must be a mapping"):
            configuration_of(["redis://a"], "shop", {"connect_urls": routes})
    with pytest.raises(ConfigError, match="no UTF-8"):
        Endpoint("a", "redis://a", password="\udcff")


@pytest.mark.parametrize("answer", [b"%1\r\n*0\r\n+a\r\n", b"~1\r\n%1\r\n~0\r\n+a\r\n"])
def test_an_answer_that_no_protocol_of_ours_has_ends_its_connection(answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = NodeConnection("a", ours, "run-1")
        theirs.sendall(answer)
        with pytest.raises(hiredis.ProtocolError, match="unhashable"):
            connection.receive()
        connection.close()


def test_a_list_for_which_there_is_no_room_ends_its_connection() -> None:
    class NoRoom:
        def feed(self, data: bytes) -> None: ...

        def gets(self) -> object:
            raise MemoryError  # as hiredis does for *4000000000 where memory is not overcommitted

    ours, theirs = socket.socketpair()
    with theirs:
        connection = NodeConnection("a", ours, "run-1")
        connection._received = NoRoom()  # type: ignore[assignment]
        theirs.sendall(b"*4000000000\r\n")
        with pytest.raises(hiredis.ProtocolError):
            connection.receive()
        connection.close()


def test_false_is_an_answer_like_others() -> None:
    """Taken for the end of what has arrived, it would shift all answers after it."""
    ours, theirs = socket.socketpair()
    with theirs:
        connection = NodeConnection("a", ours, "run-1")
        theirs.sendall(b"#f\r\n:1\r\n#t\r\n")
        assert connection.receive() == [False, 1, True]
        connection.close()


@pytest.mark.parametrize(
    "guard", [b"7 \xff", b"\xff 7", b"9" * 5000 + b" active", b"8 " + b"\xff" * 1000], ids=_shortly
)
def test_a_guard_of_other_letters_is_a_refusal_and_no_bare_error(guard: bytes) -> None:
    with pytest.raises(RedreplError) as refused:
        ByHand(read_decider(view(3), b"key", 100.0, 101.0)).replies("a", [guard, None])
    assert len(str(refused.value)) < 2_000
    if not guard[:1].isdigit() or len(guard) > 4000:
        assert isinstance(refused.value, Refused)


def test_an_epoch_in_a_refusal_is_one_that_can_be() -> None:
    assert epoch_in_refusal("refused: epoch 8, active") == 8
    assert epoch_in_refusal(f"refused: epoch {'9' * 5000}, active") == 0


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "-inf"])
def test_options_without_end_are_usage_errors(text: str) -> None:
    for kind in (FiniteRange(0), FiniteRange(0, max=25), FiniteRange()):
        with pytest.raises(click.UsageError):
            kind.convert(text, None, None)
    for each in (text, THREE, "0_1", "%"):
        with pytest.raises(click.UsageError):
            PROBABILITY.convert(each, None, None)
    assert FiniteRange(0).convert("1.5", None, None) == 1.5


def test_a_time_that_no_calendar_knows_is_shown() -> None:
    assert _moment(2.0**48) == f"{2**48} seconds since 1970"
    assert _moment(0.0) == "1970-01-01T00:00:00+00:00"
