"""The scripts as servers get them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import fakeredis
import pytest

import redrepl
from redrepl.edges.scripts import all_scripts

FOLDER = Path(redrepl.__file__).parent / "lua"
INCLUDE = "-- include:"
NAMES = sorted(path.stem for path in FOLDER.glob("*.lua"))
AT_FULL_MEMORY = {"absorb", "transact", "update", "write", "write_many"}
"""What exists a second time, for full memory."""

BOOKKEEPING = {
    "change_member",
    "checkpoint",
    "confirm",
    "disown",
    "enrol",
    "hold",
    "leave",
    "note_sweep",
    "note_walk",
    "purge",
    "replace",
    "trim",
}
READING = {"digest", "headers", "inspect", "log_page", "read_many", "vouch"}
LIKE_CLIENTS = {"mend", "probe_write"}
"""Are refused as the writes of clients are: one stores what a read found."""


def _included(name: str) -> list[str]:
    lines = (FOLDER / f"{name}.lua").read_text(encoding="utf-8").splitlines()
    return [
        part
        for line in lines
        if line.startswith(INCLUDE)
        for part in line.removeprefix(INCLUDE).split()
    ]


def test_every_file_is_a_script() -> None:
    assert set(all_scripts()) == {*NAMES, *(f"{name}_oom" for name in AT_FULL_MEMORY)}
    assert {"write", "write_many", "update", "absorb", "inspect"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_part_that_is_included_exists_and_comes_before_what_needs_it(name: str) -> None:
    source = all_scripts()[name].source
    places = []
    for part in _included(name):
        text = (FOLDER / "parts" / f"{part}.lua").read_text(encoding="utf-8")
        code = next(line for line in text.splitlines() if line.startswith("local"))
        places.append(source.index(code))
    assert places == sorted(places)
    assert "local member" not in source or source.index("local member") > max(places, default=-1)


def test_every_part_is_included_by_somebody() -> None:
    assert {part for name in NAMES for part in _included(name)} == {
        path.stem for path in FOLDER.glob("parts/*.lua")
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_digest_is_the_one_that_a_server_computes(name: str) -> None:
    script = all_scripts()[name]
    assert (
        script.sha
        == hashlib.sha1(script.source.encode(), usedforsecurity=False).hexdigest().encode()
    )
    assert fakeredis.FakeRedis(version=(7,)).script_load(script.source) == script.sha.decode()


def test_every_script_that_writes_bookkeeping_passes_at_full_memory() -> None:
    assert {*BOOKKEEPING, *READING, *LIKE_CLIENTS, *AT_FULL_MEMORY} == set(NAMES)
    flagged = {
        name
        for name, script in all_scripts().items()
        if script.source.startswith("#!lua flags=allow-oom\n")
    }
    assert flagged == {*BOOKKEEPING, *(f"{name}_oom" for name in AT_FULL_MEMORY)}


@pytest.mark.parametrize("name", sorted(AT_FULL_MEMORY))
def test_the_script_for_full_memory_differs_in_that_it_knows(name: str) -> None:
    first, second = all_scripts()[name].source, all_scripts()[f"{name}_oom"].source
    assert first.startswith("local AT_FULL_MEMORY = false\n")
    flags, _, rest = second.partition("\n")
    assert (flags, rest) == (
        "#!lua flags=allow-oom",
        first.replace("FULL_MEMORY = false", "FULL_MEMORY = true", 1),
    )


@pytest.mark.parametrize("name", NAMES)
def test_comments_stay_at_home_and_code_does_not(name: str) -> None:
    lines = all_scripts()[name].source.splitlines()
    if name in BOOKKEEPING or name in AT_FULL_MEMORY:
        lines = lines[1:]
    assert lines
    assert not [line for line in lines if not line.strip() or line.lstrip().startswith("--")]
    texts = [FOLDER / "parts" / f"{part}.lua" for part in _included(name)] + [
        FOLDER / f"{name}.lua"
    ]
    code = [
        line
        for text in texts
        for line in text.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.lstrip().startswith("--")
    ]
    if name == "write":  # its parts stand in its middle
        lines, code = sorted(lines), sorted(code)
    assert lines == code


def test_no_two_scripts_are_the_same() -> None:
    assert len({script.sha for script in all_scripts().values()}) == len(NAMES) + len(
        AT_FULL_MEMORY
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if name
        not in (
            "inspect",
            "enrol",
            "change_member",
            "leave",
            "disown",
            "digest",
            "log_page",
            "probe_write",
            "write",
        )
    ],
)
def test_every_script_that_touches_data_reads_the_member_first(name: str) -> None:
    assert "guard" in _included(name)
    own = (FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    code = [line for line in own.splitlines() if line.strip() and not line.startswith("--")]
    code = [line for line in code if not line.startswith("local LARGEST")]
    assert code[0] == "local member = read_member()"
    assert "return refusal(member)" in code[1]


def test_the_short_way_through_write_checks_the_member_before_it_stores() -> None:
    own = (FOLDER / "write.lua").read_text(encoding="utf-8")
    read = own.index("call('HMGET', KEYS[1], 'epoch', 'state'")
    checked = own.index("if found[1] == ARGV[1] and found[2] == 'active'")
    stored = own.index("call('XADD'")
    long_way = own.index("if not admits(member) then return refusal(member) end")
    assert read < checked < stored < long_way < own.index("log_and_store(key")
    assert own.index("call(") == read
