"""Reports: table, JSON and chart say the same, also about what was not measured."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from redrepl import Configuration, NodeRole
from redrepl.edges.endpoint import split_url
from redrepl_cli.bench.chart import LABELS, WIDTH, chart
from redrepl_cli.bench.memory import Memory
from redrepl_cli.bench.placement import Placement, is_here
from redrepl_cli.bench.report import Report
from redrepl_cli.bench.rounds import NotMeasured
from redrepl_cli.bench.suites import SUITES
from redrepl_cli.bench.table import write_tables
from tests.unit.support.bench import report

SVG = "{http://www.w3.org/2000/svg}"
MEMORY = Memory(1000, 20, (50_000_000, 50_001_000, 50_002_000))
MISSING = (
    NotMeasured("asyncio", "set", "no <AsyncCoordinator> & co"),
    NotMeasured("asyncio", "get", "no <AsyncCoordinator> & co"),
)
TEXT_PIXELS = 7.0
"""A character of 12-pixel text, taken wide."""


def test_json_has_all_parts() -> None:
    found = report(MISSING, MEMORY).as_json()
    assert (found["schema_version"], found["suite"], found["seconds"]) == (1, "peers", 1.75)
    assert found["servers"] == "embedded valkey 9.1.2"
    assert {"cores", "python", "engine", "engine_version", "redis_py", "uvloop"} <= set(
        found["machine"]
    )
    assert found["machine"]["cores"] >= 1
    assert [group["name"] for group in found["groups"]] == ["single", "batch"]
    assert [result["name"] for result in found["results"]] == [
        "base",
        "own",
        "other",
        "pipe",
        "many",
    ]
    assert found["not_measured"] == [
        {"group": "asyncio", "name": name, "reason": "no <AsyncCoordinator> & co"}
        for name in ("set", "get")
    ]
    assert (found["memory"]["growth_bytes"], found["memory"]["growth_bytes_per_operation"]) == (
        2000,
        2.0,
    )
    assert report().as_json()["memory"] is None


@pytest.mark.parametrize(("cores", "notes"), [(2, 1), (3, 1), (4, 0)])
def test_shared_cores_are_noted(cores: int, notes: int) -> None:
    made = report()
    made.machine["cores"] = cores
    assert len(made.as_json()["notes"]) == notes
    assert (f"share {cores} cores" in chart(made)) == bool(notes)


def on_own_servers(cores: int, here: tuple[str, ...]) -> Report:
    """A run on three configured servers, those named on this machine; c does not answer."""
    endpoints = tuple(split_url(node, f"redis://{node}.example:6379/0") for node in "abc")
    own = Configuration("shop", endpoints, (NodeRole.PRIMARY, NodeRole.REPLICA, NodeRole.REPLICA))
    made = report()
    made.machine["cores"] = cores
    placement = Placement({"a": 61.4, "b": 1203.0, "c": None}, here)
    return replace(made, settings=replace(made.settings, own=own), placement=placement)


@pytest.mark.parametrize(
    ("cores", "here", "shared"),
    [
        (2, (), None),
        (2, ("a",), None),
        (2, ("a", "b"), "servers a, b share 2 cores"),
        (3, ("a", "b"), None),
        (3, ("a", "b", "c"), "Client and servers share 3 cores"),
        (4, ("a", "b", "c"), None),
    ],
)
def test_on_servers_of_yours_the_distance_is_noted_and_who_shares_cores(
    cores: int, here: tuple[str, ...], shared: str | None
) -> None:
    made = on_own_servers(cores, here)
    found = made.as_json()
    assert f"({cores} cores)" in found["notes"][0]
    assert "a 61 µs, b 1203 µs, c no answer" in found["notes"][0]
    assert len(found["notes"]) == (1 if shared is None else 2)
    assert shared is None or shared in found["notes"][1]
    assert found["round_trip_micros"] == {"a": 61.4, "b": 1203.0, "c": None}
    assert found["servers_on_this_machine"] == len(here)
    assert "b 1203 µs" in chart(made)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("redis://127.0.0.1:6379/0", True),
        ("redis://localhost:6379/0", True),
        ("unix:///run/redis.sock", True),
        ("redis://192.0.2.1:6379/0", False),
        ("redis://nobody.invalid:6379/0", False),
    ],
)
def test_an_address_of_this_machine_is_told_from_others(url: str, here: bool) -> None:
    assert is_here(url) is here


@pytest.mark.parametrize(("percent", "notes"), [(None, 0), (4.0, 0), (37.0, 1)])
def test_a_busy_machine_is_noted(percent: float | None, notes: int) -> None:
    made = report()
    made.machine["cores"] = 8
    made.found.others_percent = percent
    found = made.as_json()
    assert (found["other_programs_cpu_percent"], len(found["notes"])) == (percent, notes)
    assert not notes or "37 %" in found["notes"][0]


def table_text(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], columns: int
) -> str:
    """The table on a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    write_tables(report(MISSING, MEMORY))
    return capsysbinary.readouterr().out.decode()


def test_the_table_fits_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    text = table_text(monkeypatch, capsysbinary, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(
        r"^  own +1\.50 \(1\.25–1\.75\) +30\.0 \(25\.0–35\.0\) +31\.0$", text, re.MULTILINE
    )
    assert re.search(r"^    to other +0\.50 \(0\.50–0\.50\)$", text, re.MULTILINE)
    assert re.search(r"^  many +2\.00 ", text, re.MULTILINE)
    assert "not measured: no <AsyncCoordinator> & co\n  asyncio/set\n  asyncio/get\n" in text
    assert "+2.00 bytes" in text
    assert "took 1.8 s (single 1.2, batch 0.5)" in text


def test_a_wide_table_shows_the_spread_of_p99(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert "31.0 (26.0–36.0)" in table_text(monkeypatch, capsysbinary, 120)


def chart_root(missing: tuple[NotMeasured, ...] = MISSING) -> ElementTree.Element:
    """The chart, read as XML."""
    return ElementTree.fromstring(chart(report(missing, MEMORY)))


def texts(root: ElementTree.Element) -> list[str]:
    """All texts as they stand there."""
    return ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]


def test_the_chart_is_xml_and_shows_every_ratio() -> None:
    root = chart_root()
    found = texts(root)
    assert {"own / base", "own / other", "other / base", "many / pipe"} <= set(found)
    assert "1.50 (1.25–1.75)" in found
    bars = [each for each in root.iter(f"{SVG}rect") if each.get("class") == "bar"]
    assert len(bars) == 4
    assert any("no <AsyncCoordinator> & co: asyncio/set, asyncio/get" in text for text in found)
    assert any("2.00 bytes per operation" in text for text in found)


def test_the_chart_is_readable_on_light_and_dark() -> None:
    style = next(chart_root().iter(f"{SVG}style")).text or ""
    assert "prefers-color-scheme: dark" in style
    assert ".ground" in style


def test_nothing_in_the_chart_leaves_it_or_lies_on_another() -> None:
    root = chart_root(
        tuple(NotMeasured("g", f"{'long ' * 5}{n}", "because of " * 20) for n in range(9))
    )
    height = float(root.get("height", "0"))
    lines: dict[float, list[tuple[float, float]]] = {}
    for each in root.iter(f"{SVG}text"):
        x, y, length = (
            float(each.get("x", "")),
            float(each.get("y", "")),
            len("".join(each.itertext())) * TEXT_PIXELS,
        )
        start = x - length if each.get("text-anchor") == "end" else x
        assert 0 <= start <= start + length <= WIDTH + 20, "".join(each.itertext())
        assert 0 < y < height
        lines.setdefault(y, []).append((start, start + length))
    for spans in lines.values():
        ordered = sorted(spans)
        assert all(end <= start for (_, end), (start, _) in pairwise(ordered))
    apart = sorted(lines)
    assert all(below - above >= 14 for above, below in pairwise(apart))


def test_the_longest_label_fits_before_the_bars() -> None:
    labels = [
        f"{spec.name} / {base}"
        for suite in SUITES.values()
        for group in suite.groups
        for spec in group.specs
        for base in spec.baselines
    ]
    assert max(map(len, labels)) * TEXT_PIXELS < LABELS


def test_output_without_results_says_why(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    empty = report(MISSING)
    empty.found.results = []
    write_tables(empty)
    assert b"no <AsyncCoordinator>" in capsysbinary.readouterr().out
    ElementTree.parse(io.StringIO(chart(empty)))
