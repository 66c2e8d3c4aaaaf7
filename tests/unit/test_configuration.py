"""`redrepl.toml` and the environment: what is read, and how each mistake is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from redrepl.edges.configuration import Configuration, load_configuration
from redrepl.values.errors import ConfigError
from redrepl.values.topology import Mode, NodeRole

NODES = """
[[nodes]]
id = "a"
url = "redis://127.0.0.1:7101/0"
role = "primary"

[[nodes]]
id = "b"
url = "redis://127.0.0.1:7102/0"
role = "replica"
"""
GOOD = f'cluster = "shop"\n{NODES}'
Load = Callable[..., Configuration]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Reads a configuration of this text in this environment."""

    def from_text(text: str, **environment: str) -> Configuration:
        file = tmp_path / "redrepl.toml"
        file.write_text(text, encoding="utf-8")
        return load_configuration(file, environment)

    return from_text


def _refused(load: Load, text: str, *said: str, **environment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, **environment)
    for part in ("redrepl.toml", *said):
        assert part in str(caught.value)


def test_a_small_file_has_the_defaults(load: Load) -> None:
    found = load(GOOD)
    assert (found.cluster, found.mode, found.level, found.timeout_seconds) == (
        "shop",
        Mode.PRIMARY_REPLICA,
        "quorum",
        1.0,
    )
    assert [(e.node, e.url, e.username, e.password) for e in found.endpoints] == [
        ("a", "redis://127.0.0.1:7101/0", None, None),
        ("b", "redis://127.0.0.1:7102/0", None, None),
    ]
    assert found.roles == (NodeRole.PRIMARY, NodeRole.REPLICA)
    assert (found.queue_url, found.queue, found.required_readers) == (None, "redrepl-shop", 1)
    assert found.origin.endswith("redrepl.toml")
    topology = found.topology()
    assert (topology.epoch, topology.cluster, topology.ids, topology.decider) == (
        1,
        "shop",
        ("a", "b"),
        "a",
    )


def test_every_option_can_be_set(load: Load) -> None:
    text = (
        'mode = "primary-replica"\nlevel = 1\ntimeout_seconds = 2\nlog_cap_entries = 7\nhome = '
        '"b"\n'
    )
    found = load(f'queue_url = "redis://q"\n{text}{GOOD}')
    assert (found.level, found.timeout_seconds, found.log_cap_entries, found.home) == (
        1,
        2.0,
        7,
        "b",
    )
    assert (found.queue_url, type(found.timeout_seconds)) == ("redis://q", float)


def test_a_short_greatest_age_of_stamps_shortens_the_tolerated_skew_where_none_is_set(
    load: Load,
) -> None:
    assert load(GOOD).max_skew_seconds == 5.0
    assert load(f"max_age_seconds = 2\n{GOOD}").max_skew_seconds == pytest.approx(1.8)
    assert load(f"max_age_seconds = 2\nmax_skew_seconds = 0.5\n{GOOD}").max_skew_seconds == 0.5


def test_several_primaries(load: Load) -> None:
    found = load('mode = "multi-primary"\n' + GOOD.replace('"replica"', '"primary"'))
    assert (found.mode, found.topology().decider) == (Mode.MULTI_PRIMARY, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f'cluster = "shop"\ncolour = "red"\n{NODES}',
            ["unknown option 'colour'", "known are", "timeout_seconds"],
        ),
        (
            GOOD.replace('role = "replica"', 'role = "replica"\nweight = "1"'),
            ["nodes[2]", "unknown key 'weight'"],
        ),
        (GOOD.replace('id = "b"', 'id = "a"'), ["node id 'a' is given twice"]),
        (GOOD.replace("7102", "7101"), ["'a' and 'b' have the same url redis://127.0.0.1:7101/0"]),
        (GOOD.replace('"primary"', '"replica"'), ['no node has role = "primary"']),
        (GOOD.replace('"replica"', '"primary"'), ["one primary, not 2: a, b"]),
        (GOOD.replace('"replica"', '"king"'), ["nodes[2].role", "'primary', 'replica'", "'king'"]),
        (f'mode = "multi-primary"\n{GOOD}', ["replicas given: b"]),
        (f'mode = "anarchy"\n{GOOD}', ["mode", "'anarchy'", "'multi-primary'"]),
        (f'timeout_seconds = "soon"\n{GOOD}', ["timeout_seconds must be a number, not 'soon'"]),
        (f"timeout_seconds = true\n{GOOD}", ["timeout_seconds must be a number, not True"]),
        (f"timeout_seconds = 0\n{GOOD}", ["timeout_seconds must be more than 0"]),
        (f"timeout_seconds = 26\n{GOOD}", ["timeout_seconds", "25"]),
        (
            f"timeout_seconds = 10\nmax_age_seconds = 10\n{GOOD}",
            ["timeout_seconds must be below max_age_seconds (10)"],
        ),
        (f"max_skew_seconds = 30\n{GOOD}", ["max_skew_seconds must be below max_age_seconds (30)"]),
        (f"log_cap_entries = 1.5\n{GOOD}", ["log_cap_entries must be a number, not 1.5"]),
        (f"log_cap_entries = 0\n{GOOD}", ["log_cap_entries must be more than 0, not 0"]),
        (f"tick_seconds = nan\n{GOOD}", ["tick_seconds must be more than 0"]),
        (f"max_skew_seconds = -1\n{GOOD}", ["max_skew_seconds must be more than 0, not -1"]),
        (f'level = "most"\n{GOOD}', ["level must be", "'most'"]),
        (f"level = true\n{GOOD}", ["level must be", "True"]),
        (f'home = "z"\n{GOOD}', ["home names no node: 'z'"]),
        (f"queue = 5\n{GOOD}", ["queue must be a string, not 5"]),
        (f'queue_url = "http://q"\n{GOOD}', ["queue", "redis://"]),
        (GOOD.replace('"shop"', '"my shop"'), ["cluster", "'my shop'"]),
        (NODES, ["cluster", "missing"]),
        ('cluster = "shop"\n', ["no [[nodes]]"]),
        ('cluster = "shop"\nnodes = "a"\n', ["no [[nodes]]"]),
        ('cluster = "shop"\nnodes = ["a"]\n', ["no [[nodes]]"]),
        (GOOD.replace('id = "b"\n', ""), ["nodes[2].id is missing"]),
        (GOOD.replace('url = "redis://127.0.0.1:7102/0"\n', ""), ["nodes[2].url is missing"]),
        (GOOD.replace('role = "replica"\n', ""), ["nodes[2].role is missing"]),
        (GOOD.replace('id = "b"', "id = 2"), ["nodes[2].id must be a string, not 2"]),
        (GOOD.replace('id = "b"', 'id = "b c"'), ["nodes[2].id", "'b c'"]),
        (GOOD.replace("redis://127.0.0.1:7102", "http://127.0.0.1"), ["'b'", "redis://"]),
        (GOOD.replace("7102", "port"), ["'b'", "cannot be read"]),
        ('cluster = "shop"\nlevel = \n', ["line 2"]),
        ('cluster = "shop"\n\n[[nodes]\n', ["line 3"]),
    ],
)
def test_mistakes_are_named(load: Load, text: str, said: list[str]) -> None:
    _refused(load, text, *said)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file; give --config") as caught:
        load_configuration(tmp_path / "nowhere.toml", {})
    assert "REDREPL_CONFIG" in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_configuration(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b'cluster = "\xff"\n')
    with pytest.raises(ConfigError, match=r"latin\.toml"):
        load_configuration(tmp_path / "latin.toml", {})


def test_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redrepl", "named", "given"):
        (tmp_path / f"{name}.toml").write_text(GOOD.replace("shop", name))
    monkeypatch.chdir(tmp_path)
    environment = {"REDREPL_CONFIG": str(tmp_path / "named.toml")}
    assert load_configuration(environment={}).cluster == "redrepl"
    assert load_configuration(environment=environment).cluster == "named"
    assert load_configuration(tmp_path / "given.toml", environment).cluster == "given"


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "redrepl.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_configuration(file, {}).cluster == "shop"


def test_the_environment_goes_before_the_file(load: Load) -> None:
    found = load(
        f"timeout_seconds = 2\n{GOOD}",
        REDREPL_TIMEOUT_SECONDS="0.5",
        REDREPL_LEVEL="ALL",
        REDREPL_CLUSTER="bakery",
        REDREPL_LOG_CAP_ENTRIES="9",
        REDREPL_QUEUE_URL="redis://q",
        TIMEOUT_SECONDS="7",
    )
    assert (found.timeout_seconds, found.level, found.cluster, found.log_cap_entries) == (
        0.5,
        "ALL",
        "bakery",
        9,
    )
    assert found.queue_url == "redis://q"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("REDREPL_TIMEOUT_SECONDS", "soon", "timeout_seconds must be a number, not 'soon'"),
        ("REDREPL_LOG_CAP_ENTRIES", "1.5", "log_cap_entries must be a number, not '1.5'"),
        ("REDREPL_MODE", "anarchy", "mode"),
        ("REDREPL_LEVEL", "most", "level must be"),
    ],
)
def test_mistakes_in_the_environment_are_named(load: Load, name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(GOOD, **{name: text})
    assert str(caught.value).startswith(f"environment variable {name}: {said}"), (
        "the file is not to blame"
    )
