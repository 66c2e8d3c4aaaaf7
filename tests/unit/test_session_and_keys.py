"""Sessions, and the names of keys on a node."""

from __future__ import annotations

import base64
import json

import pytest

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from redrepl.values.session import Session
from redrepl.values.stamp import NO_STAMP, Stamp


def test_a_session_remembers_the_newest_stamp_of_each_key() -> None:
    session = Session()
    for micros in (5, 9, 7):
        session.note(b"x", Stamp(micros, 1))
    session.note(b"y", Stamp(1, 1))
    assert (session.at_least(b"x"), session.at_least(b"y")) == (Stamp(9, 1), Stamp(1, 1))
    assert session.at_least(b"z") is NO_STAMP


def test_a_session_is_bounded_and_what_it_forgets_raises_the_floor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SESSION_KEYS", 3)
    session = Session()
    for number in range(10):
        session.note(b"%d" % number, Stamp(100 + number, 1))
    assert [session.at_least(b"%d" % number) for number in (7, 8, 9)] == [
        Stamp(100 + n, 1) for n in (7, 8, 9)
    ]
    for number in range(7):
        assert session.at_least(b"%d" % number) == Stamp(106, 1) >= Stamp(100 + number, 1)
    assert session.at_least(b"never seen") == Stamp(106, 1)


def test_the_floor_never_comes_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSION_KEYS", 1)
    session = Session()
    for micros in (50, 10, 20):
        session.note(b"%d" % micros, Stamp(micros, 1))
    assert session.at_least(b"other") == Stamp(50, 1)


def test_a_session_goes_to_another_process_as_a_token() -> None:
    session = Session({b"\x00\xff": Stamp(5, 1), b"y": Stamp(6, 2)}, Stamp(3, 3))
    token = session.token()
    assert token.isascii()
    copy = Session.from_token(token)
    assert [copy.at_least(key) for key in (b"\x00\xff", b"y", b"z")] == [
        Stamp(5, 1),
        Stamp(6, 2),
        Stamp(3, 3),
    ]
    copy.note(b"y", Stamp(9, 9))
    assert session.at_least(b"y") == Stamp(6, 2)


def _token(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "garbage",
        "ü",
        "====",
        _token(None),
        _token([]),
        _token({}),
        _token({"seen": {}}),
        _token({"seen": [], "floor": "0" * 22}),
        _token({"seen": {"eA==": 5}, "floor": "0" * 22}),
        _token({"seen": {"eA==": "5"}, "floor": "0" * 22}),
        _token({"seen": {"x": "0" * 22}, "floor": "0" * 22}),
        None,
    ],
)
def test_garbage_is_no_token(token: object) -> None:
    with pytest.raises(RequestError, match="session token"):
        Session.from_token(token)  # type: ignore[arg-type]  # what a caller may do


def test_all_names_stand_under_the_clusters_prefix() -> None:
    layout = KeyLayout("shop")
    names = [
        layout.member,
        layout.log,
        layout.cursors,
        layout.marks,
        layout.topology,
        layout.data(b"x"),
    ]
    assert all(name.startswith(b"shop:") for name in names)
    assert len(set(names)) == len(names)
    assert not CLUSTERS_KEY.startswith(b"shop:")
    assert layout.data(b"x") == b"shop:k:x"


@pytest.mark.parametrize("key", [b"", b"m:log", b"k:", b"shop:k:x", b"*"])
def test_no_users_key_meets_the_bookkeeping(key: bytes) -> None:
    layout = KeyLayout("shop")
    assert layout.user_key(layout.data(key)) == key
    assert layout.data(key) not in (
        layout.member,
        layout.log,
        layout.cursors,
        layout.marks,
        layout.topology,
    )


@pytest.mark.parametrize(
    ("prefix", "pattern"),
    [
        (b"", b"shop:k:*"),
        (b"user:", b"shop:k:user:*"),
        (b"a*b", b"shop:k:a\\*b*"),
        (b"?[x]\\^", b"shop:k:\\?\\[x\\]\\\\\\^*"),
        (b"\x00\xff", b"shop:k:\x00\xff*"),
    ],
)
def test_a_prefix_is_taken_literally(prefix: bytes, pattern: bytes) -> None:
    assert KeyLayout("shop").pattern_for(prefix) == pattern


def test_the_pattern_of_all_keys() -> None:
    assert KeyLayout("shop").data_pattern == KeyLayout("shop").pattern_for(b"")
