"""What is to be known of an operation stands in the table, and its effect in Lua: nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from redrepl import AsyncCoordinator, Coordinator
from redrepl.values import operation as table
from redrepl.values.operation import (
    BY_NAME,
    CHANGING,
    OPERATIONS,
    AnswerForm,
    OperationKind,
    Result,
)
from tests.tidy import operations
from tests.tidy.tree import PACKAGES, ROOT, TESTS, python_files

CONSTANTS = {name for name, value in vars(table).items() if isinstance(value, OperationKind)}
WORDS = {each for kind in OPERATIONS for each in (kind.name, kind.wire) if each}

PYTHON = python_files(
    *PACKAGES.values(),
    *(TESTS / name for name in ("property", "scenarios", "simulation", "support")),
)
LUA = (ROOT / "redrepl/lua/parts/operation.lua").read_text("utf-8")


def test_the_table_has_every_row_once() -> None:
    assert {getattr(table, name) for name in CONSTANTS} == set(OPERATIONS)
    assert len(BY_NAME) == len(OPERATIONS)
    assert len({kind.wire for kind in CHANGING}) == len(CHANGING)


@pytest.mark.parametrize("kind", OPERATIONS, ids=str)
def test_a_row_agrees_with_itself(kind: OperationKind) -> None:
    assert (kind.number is not None) == (kind.result is Result.NUMBER)
    assert kind.takes_ttl <= (not kind.removes_value)
    assert kind.result is Result.RECEIPT or not kind.is_conditional, "there would be no result"


@pytest.mark.parametrize("kind", OPERATIONS, ids=str)
def test_coordinators_have_a_method_for_every_row(kind: OperationKind) -> None:
    assert callable(getattr(Coordinator, kind.name))
    assert callable(getattr(AsyncCoordinator, kind.name))


def test_every_row_has_a_branch_in_lua_and_every_branch_a_row() -> None:
    assert sorted(operations.branches(LUA)) == sorted(kind.wire.decode() for kind in CHANGING)


def test_lua_and_the_table_say_the_same_of_answers() -> None:
    told = {kind.wire.decode(): kind.answer for kind in CHANGING}
    beyond_stamps = {
        name: form.value for name, form in told.items() if form is not AnswerForm.STAMP
    }
    assert operations.answers(LUA) == beyond_stamps


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_asks_which_operation_it_has(path: Path) -> None:
    if path != Path(table.__file__):
        assert operations.asked_for(path.read_text("utf-8"), CONSTANTS, WORDS) == []


@pytest.mark.parametrize(
    "text",
    [
        "from redrepl.values.operation import INCREMENT\nfound = kind is INCREMENT",
        "from redrepl.values.operation import INCREMENT as I\nfound = I != kind",
        "from redrepl.values.operation import ADD, SET\nfound = kind in (SET, ADD)",
        "from redrepl.values.operation import SET\nfound = name == SET.name",
        "from redrepl.values import operation\nfound = kind is operation.SET",
        "found = call.arguments[1] == b'increment'",
        "found = kind.name not in ['expire']",
        "match kind.name:\n    case 'increment': pass",
    ],
)
def test_a_question_for_an_operation_is_found(text: str) -> None:
    assert operations.asked_for(text, CONSTANTS, WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "from redrepl.values.operation import SET\nplan = change(SET, key)",
        "from redrepl.values.operation import SET\nWEIGHTS = {SET: 35}",
        "from elsewhere import SET\nfound = word == SET",
        "from redrepl.values.operation import Way\nfound = kind.way is Way.READ",
    ],
)
def test_naming_an_operation_without_a_question_is_allowed(text: str) -> None:
    assert operations.asked_for(text, CONSTANTS, WORDS) == []


def test_branches_and_answers_of_a_script_are_found() -> None:
    script = (
        "local ANSWER = {one = 'record', two = 'before'}\n"
        "if operation == 'one' then return 1 end\n"
        "if live then a() elseif operation == 'two' then b() end\n"
    )
    assert operations.branches(script) == ["one", "two"]
    assert operations.answers(script) == {"one": "record", "two": "before"}
