"""States of members: what is stored, and what a member may do in each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redrepl.values.member_state import MemberState

GUARD = Path(__file__).parents[2] / "redrepl" / "lua" / "parts" / "guard.lua"
STORED = [MemberState.ACTIVE, MemberState.SYNCING, MemberState.FENCED]


def test_the_stored_states_are_those_that_the_guard_knows() -> None:
    in_lua = re.findall(r"member\.state == '(\w+)'", GUARD.read_text("utf-8"))
    assert set(in_lua) == {state.value for state in MemberState if state.is_stored}
    assert [state for state in MemberState if state.is_stored] == STORED


@pytest.mark.parametrize("state", STORED)
def test_a_stored_state_is_read_as_text_and_as_bytes(state: MemberState) -> None:
    assert MemberState.parse(state.value) is MemberState.parse(state.value.encode()) is state


@pytest.mark.parametrize("nothing", ["", b"", None])
def test_a_server_without_membership_has_no_state(nothing: str | bytes | None) -> None:
    assert MemberState.parse(nothing) is MemberState.NONE


@pytest.mark.parametrize(
    "stored",
    [
        "unknown",
        "ACTIVE",
        " active",
        "active\0",
        b"\xff",
        b"active ",
        b"in doubt: its clock is ahead",
    ],
)
def test_any_other_state_is_unknown_and_may_do_nothing(stored: str | bytes) -> None:
    state = MemberState.parse(stored)
    assert state is MemberState.UNKNOWN
    assert (state.serves, state.is_filled, state.is_stored) == (False, False, False)


def test_clients_are_served_by_active_members_alone() -> None:
    assert [state for state in MemberState if state.serves] == [MemberState.ACTIVE]


def test_who_was_only_fenced_holds_what_it_held() -> None:
    assert [state for state in MemberState if state.is_filled] == [
        MemberState.ACTIVE,
        MemberState.FENCED,
    ]


def test_a_member_that_is_being_filled_goes_on_with_that_when_it_is_stopped() -> None:
    assert MemberState.ACTIVE.when_stopped is MemberState.FENCED
    assert {
        state.when_stopped is state for state in MemberState if state is not MemberState.ACTIVE
    } == {True}
