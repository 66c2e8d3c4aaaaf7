"""`limits.py` is as its docstring says. Each rule and each relation is shown to be able to fail."""

from __future__ import annotations

import re

import pytest

from redrepl.values import limits as values
from tests.tidy import limits
from tests.tidy.imports import Source
from tests.tidy.tree import PACKAGES, ROOT, sources

LIBRARY = sources(PACKAGES["redrepl"], PACKAGES["redrepl_workers"])
EVERYTHING = sources(*PACKAGES.values())
LIMITS = LIBRARY[limits.LIMITS].text
ASSERTION = re.compile(r"^assert (.*)$", re.MULTILINE)


def test_no_number_has_a_name_twice() -> None:
    assert limits.defined_twice(LIBRARY) == []


def test_largest_and_smallest_values_are_in_one_file() -> None:
    assert limits.bounds_elsewhere(LIBRARY) == []


def test_what_several_folders_use_is_in_one_file() -> None:
    assert limits.shared_elsewhere(EVERYTHING) == []


def test_every_limit_says_why() -> None:
    names = [name for _, name in limits.numbers(LIMITS)]
    assert len(names) > 60
    explained = re.findall(r'^([A-Z_]+): Final = .*\n"""', LIMITS, re.MULTILINE)
    assert [name for name in names if name not in explained] == []


def test_lua_holds_the_same_numbers_exactly() -> None:
    script = (ROOT / "redrepl/lua/parts/operation.lua").read_text("utf-8")
    assert f"local LARGEST = {values.EXACT_UP_TO}\n" in script


@pytest.mark.parametrize(
    ("name", "value", "broken"),
    [
        ("MAX_TIMEOUT_SECONDS", "30.0", "DEFAULT_TIMEOUT_SECONDS <= MAX_TIMEOUT_SECONDS"),
        ("DEFAULT_MAX_SKEW_SECONDS", "28.0", "DEFAULT_MAX_SKEW_SECONDS <= "),
        ("TOMBSTONE_RETENTION_SECONDS", "60.0", "TOMBSTONE_RETENTION_SECONDS >= "),
        ("MAX_MICROS", "1 << 53", "MAX_MICROS < "),
        ("BATCH_BYTES", "2 * 1024 * 1024", "MAX_KEY_BYTES < BATCH_BYTES"),
        ("MAX_ANSWER_BYTES", "32 * 1024 * 1024", "max(MAX_VALUE_BYTES"),
        ("MAX_LOOP_UNSENT_BYTES", "64 * 1024 * 1024", "MAX_UNSENT_BYTES <= "),
        ("MAX_OUTSTANDING_REPLIES", "1_000", "MAX_CONCURRENT_OPERATIONS < "),
        ("CHANNELS_BEFORE_WAITING", "65", "CHANNELS_BEFORE_WAITING <= "),
        ("OPENINGS_AT_ONCE", "65", "OPENINGS_AT_ONCE <= "),
        ("MAX_NODES", "64", "MAX_NODES * "),
        ("SESSION_KEYS", "20_000", "SESSION_KEYS * "),
        ("FAILOVER_AFTER_SILENCE_SECONDS", "0.1", "PROBE_SECONDS <= "),
        ("FAILOVER_AFTER_REFUSAL_SECONDS", "0.7", "FAILOVER_AFTER_SILENCE_SECONDS < "),
        ("WRITE_PROBE_SECONDS", "1.0", "WRITE_PROBE_SECONDS < "),
        ("LOG_CAP_ENTRIES", "50_000", "LOG_RETENTION_ENTRIES <= "),
        ("STATUS_SAMPLE_KEYS", "20_000", "STATUS_SAMPLE_KEYS < "),
    ],
)
def test_a_relation_that_does_not_hold_is_noticed(name: str, value: str, broken: str) -> None:
    text, count = re.subn(
        rf"^{name}: Final = .*$", f"{name}: Final = {value}", LIMITS, flags=re.MULTILINE
    )
    assert count == 1
    with pytest.raises(AssertionError) as raised:
        exec(compile(text, "limits.py", "exec"), {})
    line = raised.traceback[-1].lineno
    assert text.splitlines()[line].startswith(f"assert {broken}")


def test_every_relation_was_broken_once() -> None:
    cases = test_a_relation_that_does_not_hold_is_noticed.pytestmark[0].args[1]  # type: ignore[attr-defined]
    relations = ASSERTION.findall(LIMITS)
    assert [
        each for each in relations if not any(each.startswith(broken) for _, _, broken in cases)
    ] == []


# Each rule finds what is planted, and leaves what is allowed. ------------------------------------

A, B, COMMAND = "redrepl.plans.a", "redrepl.edges.b", "redrepl_cli.c"


def _sources(**texts: str) -> dict[str, Source]:
    names = {"a": A, "b": B, "command": COMMAND, "limits": limits.LIMITS}
    return {names[name]: Source(text) for name, text in texts.items()}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("LONGEST = 3", ["LONGEST"]),
        ("LONGEST: Final = 2 * limits.SHORTEST", ["LONGEST"]),
        ("_SHARE = -1 / 3", ["_SHARE"]),
        ("NAMES = ('a', 1)", []),
        ("IS_ON = True", []),
        ("OTHER = limits.SHORTEST", []),
        ("lower = 3", []),
        ("def f():\n    INNER = 3", []),
    ],
)
def test_numbers_are_found(text: str, found: list[str]) -> None:
    assert [name for _, name in limits.numbers(text)] == found


def test_a_name_that_is_given_twice_is_found() -> None:
    assert limits.defined_twice(_sources(a="WAIT = 1", b="WAIT = 1")) == [f"WAIT: {A}, {B}"]
    assert limits.defined_twice(_sources(a="WAIT = 1", b="REST = 1")) == []


def test_a_bound_that_is_elsewhere_is_found() -> None:
    assert len(limits.bounds_elsewhere(_sources(a="MAX_KEYS = 1\n", b="MIN_KEYS: Final = 1"))) == 2
    assert limits.bounds_elsewhere(_sources(a="SHARE = 1\n_MAX = 3", limits="MAX_KEYS = 1")) == []


def test_a_number_that_another_folder_uses_is_found() -> None:
    user = f"from {A} import WAIT, STAMP_BYTES, other"
    assert limits.shared_elsewhere(_sources(a="WAIT = 1\nSTAMP_BYTES = 22", b=user)) == [
        f"{B}:1: {A}.WAIT belongs into {limits.LIMITS}"
    ]
    assert (
        len(
            limits.shared_elsewhere(
                _sources(a="WAIT = 1", command=f"def f():\n    from {A} import WAIT")
            )
        )
        == 1
    )
    assert (
        limits.shared_elsewhere(_sources(limits="WAIT = 1", b=f"from {limits.LIMITS} import WAIT"))
        == []
    )
    beside = {A: Source("WAIT = 1"), "redrepl.plans.epochs.x": Source(user)}
    assert limits.shared_elsewhere(beside) == []
