"""Outages: what is counted, what drops out, and how it is shown."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from redrepl_cli.bench import outage_rounds
from redrepl_cli.bench.chart import chart
from redrepl_cli.bench.groups.failover import FAILOVER
from redrepl_cli.bench.outage_rounds import measure_outages, take_outage
from redrepl_cli.bench.outages import Outage, OutageResult, OutageSpec, Scene
from redrepl_cli.bench.report import Report
from redrepl_cli.bench.rounds import NotMeasured
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.stage import CannotMeasure, Stage
from redrepl_cli.bench.suites import SUITES
from redrepl_cli.bench.table import write_tables
from redrepl_cli.bench.writer import Writer, event_value
from tests.unit.support.bench import report
from tests.unit.support.outages import VALUE_BYTES, Invented, group

SETTINGS = Settings(rounds=1, operations=1, value_bytes=VALUE_BYTES, copies=3, events=4)
OUTAGES = (Outage(0.2, 0, 1000, 0), Outage(0.1, 4, 1500, 2), Outage(0.6, 2, 500, 1))


@pytest.fixture(autouse=True)
def no_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """An invented primary needs no time before its end."""
    monkeypatch.setattr(outage_rounds, "LEAD_SECONDS", (0.0, 0.0))


def test_the_figures_of_a_subject() -> None:
    found = OutageResult("killed", "mine", OUTAGES).as_json()
    each = found.pop("each")
    assert found == {
        "group": "killed",
        "name": "mine",
        "outages": 3,
        "seconds": 0.2,
        "seconds_quartiles": [0.15, 0.4],
        "seconds_range": [0.1, 0.6],
        "failed_calls": 2,
        "failed_calls_quartiles": [1, 3],
        "failed_calls_range": [0, 4],
        "acknowledged_writes": 3000,
        "lost_writes": 3,
    }
    assert [outage["seconds"] for outage in each] == [0.2, 0.1, 0.6]


def test_values_are_of_the_size_asked_for_and_differ() -> None:
    assert event_value(7, 4) == b"7..."
    assert event_value(12345, 4) == b"12345"


@pytest.mark.parametrize(("failing_calls", "loses"), [(0, 0), (3, 0), (2, 1)])
def test_failed_calls_and_lost_writes_are_counted(failing_calls: int, loses: int) -> None:
    system = Invented(failing_calls, loses)
    found = take_outage(group(), OutageSpec("mine", system.scene), SETTINGS, 0.0)
    assert (found.failed, found.lost) == (failing_calls, loses)
    assert found.acknowledged == len(system.values) + loses
    assert found.seconds > 0


def test_a_value_that_is_another_one_is_lost() -> None:
    system = Invented()
    with Writer(system.scene()) as writer:
        writer.await_first()
    system.values[0] = event_value(1, VALUE_BYTES)
    assert writer.outage(0.0, VALUE_BYTES).lost == 1


def test_a_write_that_began_before_the_fault_does_not_end_the_outage() -> None:
    """Its answer may have been on its way already."""
    system, held, go_on = Invented(), threading.Event(), threading.Event()

    def write(number: int) -> None:
        if number == 1:
            held.set()
            go_on.wait()
        if number == 2:
            ended_first.append(writer._back.is_set())
        system.write(number)

    ended_first: list[bool] = []
    scene = Scene(system.scene().primary, write, system.read, system.scene().failures)
    with Writer(scene) as writer:
        held.wait()
        writer.note_gone()
        go_on.set()
        writer.await_back()
    assert ended_first == [False]


def test_an_unexpected_error_ends_the_outage() -> None:
    def write(_number: int) -> None:
        raise RuntimeError("a bug")

    with (
        Writer(replace(Invented().scene(), write=write)) as writer,
        pytest.raises(RuntimeError, match="a bug"),
    ):
        writer.await_first()


def test_writes_that_never_come_back_are_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redrepl_cli.bench.writer.LONGEST_SECONDS", 0.05)
    with pytest.raises(CannotMeasure, match=r"no write was acknowledged in 0\.05 s"):
        take_outage(group(), OutageSpec("mine", Invented(10**9).scene), SETTINGS, 0.0)


def test_everybody_has_every_fault_in_each_round_and_who_fails_drops_out() -> None:
    diary: list[str] = []

    def fresh(name: str, stage: Stage) -> Scene:
        diary.append(name)
        if name == "fails" and diary.count(name) == 2:
            raise CannotMeasure("had enough")
        return Invented().scene(stage)

    specs = [
        OutageSpec(name, lambda stage, name=name: fresh(name, stage))  # type: ignore[misc]
        for name in ("a", "b", "fails")
    ]
    seen: list[tuple[int, int]] = []
    found = measure_outages([group(*specs)], SETTINGS, lambda done, of: seen.append((done, of)))
    assert [(each.name, len(each.outages)) for each in found.results] == [("a", 4), ("b", 4)]
    assert found.not_measured == [NotMeasured("gone", "fails", "had enough")]
    assert [sorted(diary[start : start + 3]) for start in (0, 3)] == [["a", "b", "fails"]] * 2
    assert sorted(diary[6:]) == ["a", "a", "b", "b"]
    assert seen[0] == (1, 12)
    assert seen[-1] == (10, 10)
    assert found.group_seconds.keys() == {"gone"}


def test_only_takes_single_outages() -> None:
    assert SUITES["failover"].only(["frozen/redrepl"]).names == ["frozen/redrepl set QUORUM"]
    assert len(SUITES["failover"].only(["Sentinel"]).names) == 4


def failover_report() -> Report:
    """Two faults, of which one has figures."""
    made = report()
    made.found.groups, made.found.results = (), []
    made.found.outage_groups = FAILOVER
    made.found.outages = [OutageResult("killed", spec.name, OUTAGES) for spec in FAILOVER[0].specs]
    made.found.not_measured = [
        NotMeasured("frozen", spec.name, "no <signal>") for spec in FAILOVER[1].specs
    ]
    return replace(made, suite="failover")


def test_the_table_shows_outages_and_fits(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    write_tables(failover_report())
    text = capsysbinary.readouterr().out.decode()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(
        r"^Sentinel, SET +0\.20 \(0\.10–0\.60\) +2 \(0–4\) +3 of 3,000$", text, re.MULTILINE
    )
    assert "down-after-milliseconds 1000" in " ".join(text.split())
    assert "writes stop: the primary freezes" not in text
    assert "not measured: no <signal>\n  frozen/redrepl set QUORUM\n" in text
    assert "rounds of" not in text


def test_json_and_chart_show_outages() -> None:
    made = failover_report()
    found = made.as_json()
    assert [each["name"] for each in found["outages"]] == [spec.name for spec in FAILOVER[0].specs]
    assert found["results"] == []
    root = ElementTree.fromstring(chart(made))
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "0.20 (0.10–0.60)" in texts
    assert "How long writes stop when the primary goes" in texts
    bars = [
        each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("class") == "bar"
    ]
    assert len(bars) == len(FAILOVER[0].specs)


def test_a_second_has_the_same_length_for_every_fault() -> None:
    made = failover_report()
    long = Outage(6.0, 0, 1, 0)
    made.found.outages = [
        OutageResult("killed", "mine", OUTAGES),
        OutageResult("frozen", "mine", (*OUTAGES, long)),
    ]
    root = ElementTree.fromstring(chart(made))
    bars = [
        float(e.get("width", ""))
        for e in root.iter("{http://www.w3.org/2000/svg}rect")
        if e.get("class") == "bar"
    ]
    assert bars[1] / bars[0] == pytest.approx(0.4 / 0.2, rel=0.02)
