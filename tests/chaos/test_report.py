"""What is made of a run: figures, verdicts, table, picture and page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from redrepl.testing.history import Operation, Outcome
from redrepl.values.operation import SET
from redrepl_cli.chaos.page import html
from redrepl_cli.chaos.picture import picture
from redrepl_cli.chaos.report import Report, judge, write_report
from redrepl_cli.chaos.run import Run
from tests.chaos.support.runs import SECOND, good_run, read, write


def wrong_run() -> Run:
    """The first write is read again after the second fault, and copies differed after the first."""
    run = good_run()
    stale = read(11.7, "v0")
    run.acts[1].reads = [stale]
    run.acts[0].problems.append("a and <b> differ in 1 keys")
    run.operations = [operation for operation in run.operations if operation.client != "judge"] + [
        stale
    ]
    return run


def test_figures_of_a_fault() -> None:
    figures, second = judge(good_run()).figures
    assert figures.without_writes.seconds == pytest.approx(2.1, abs=0.002)
    assert figures.first_write_seconds == pytest.approx(0.001, abs=0.0005), (
        "the write at its very beginning"
    )
    assert figures.committed_during_fault == 5 + 5, "from 1.0 to 1.4 and from 3.5 to 3.9 seconds"
    assert figures.back_seconds == pytest.approx(0.25)
    assert figures.settled_seconds == pytest.approx(0.5)
    assert figures.counts[SET.name] == {"ok": 14 + 15, "unknown": 1, "rejected": 1}
    assert second.without_writes.seconds == pytest.approx(0.1, abs=0.002)


def test_the_first_write_after_a_fault_must_have_begun_after_it() -> None:
    run = good_run()
    run.operations = [
        *(each for each in run.operations if each.invoked < SECOND),
        write(0.9, "under way", millis=400),
        write(3.0, "after"),
    ]
    first = judge(run).figures[0]
    assert first.first_write_seconds == pytest.approx(2.001)
    assert first.without_writes.seconds == pytest.approx(2.0 - 0.001), (
        "from its commit to the end of the load"
    )


def test_without_any_write_the_whole_time_counts() -> None:
    run = good_run()
    run.operations = []
    for act in run.acts:
        act.reads = []
    first = judge(run).figures[0]
    assert first.without_writes.seconds == 4.0
    assert first.first_write_seconds is None
    ElementTree.fromstring(picture(judge(run)))


def test_a_good_run_passes() -> None:
    report = judge(good_run())
    assert report.passed
    assert list(report.complaints()) == []
    assert "are linearizable" in report.summary


def test_what_must_not_be_is_found() -> None:
    report = judge(wrong_run())
    complaints = list(report.complaints())
    assert not report.passed
    assert [text.partition(": ")[0] for text in complaints] == [
        "not linearizable, key key-0",
        "lost",
        "kill:primary",
    ]
    assert (
        report.as_json()["acked_writes_lost"] == report.as_json()["linearizability_violations"] == 1
    )


def test_what_was_not_run_or_not_judged_is_no_success() -> None:
    run = good_run()
    run.not_run.append("old:primary")
    assert list(judge(run).complaints()) == [
        "not run, because the cluster did not recover: old:primary"
    ]
    report = judge(good_run())
    unjudged = replace(
        report, verdicts=tuple(replace(verdict, gave_up=True) for verdict in report.verdicts)
    )
    assert not unjudged.passed
    assert unjudged.as_json()["keys_not_judged"] == ["key-0"]


def test_the_json_form() -> None:
    content = json.loads(json.dumps(judge(good_run()).as_json()))
    assert (content["schema_version"], content["passed"], content["seed"]) == (1, True, 7)
    first, second = content["faults"]
    assert (first["fault"], first["node"], first["recovered"]) == ("kill:primary", "a", True)
    assert first["longest_without_committed_write_seconds"] == pytest.approx(2.1, abs=0.002)
    assert second["node"] is None
    assert content["operations"]["set"]["unknown"] == 1


def test_a_fault_that_did_not_heal_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    run = good_run()
    broken = run.acts[1]
    broken.back_ns = broken.settled_ns = None
    broken.problems.append("did not recover within 90 s")
    report = judge(replace(run, worker_log="why"))
    assert report.as_json()["faults"][1]["copies_back_after_healing_seconds"] is None
    ElementTree.fromstring(picture(report))
    write_report(report)
    shown = capsys.readouterr().out
    assert re.search(r"^queue .* never .* did not recover within 90 s$", shown, re.MULTILINE)
    assert "the workers wrote:\nwhy\n" in shown


def elements(report: Report, style: str) -> list[ElementTree.Element]:
    return [
        each
        for each in ElementTree.fromstring(picture(report)).iter()
        if each.get("class") == style
    ]


def test_the_picture_shows_faults_and_pauses_where_they_were() -> None:
    report = judge(good_run())
    harm, quiet, none = (elements(report, style) for style in ("harm", "quiet", "none"))
    assert (len(harm), len(quiet), len(none)) == (2, 2, 1)
    left, width = (float(none[0].get(name) or 0) for name in ("x", "width"))
    pixels_per_second = float(harm[0].get("width") or 0) / 3
    assert width == pytest.approx(2.1 * pixels_per_second, rel=0.02)
    assert left == pytest.approx(float(harm[0].get("x") or 0) + 0.4 * pixels_per_second, abs=1)
    texts = [
        each.text
        for each in ElementTree.fromstring(picture(report)).iter()
        if each.tag.endswith("text")
    ]
    assert "kill:primary (a)" in texts
    assert "no write for 2.10 s" in texts
    assert "primary a to b" in texts


def test_long_runs_take_several_rows() -> None:
    run = good_run()
    first = run.acts[0]
    later = replace(first, name="freeze:replica", started_ns=first.started_ns + 50 * SECOND)
    later.began_ns += 50 * SECOND
    later.healed_ns += 50 * SECOND
    later.paused_ns = later.back_ns = later.healed_ns
    later.ended_ns += 50 * SECOND
    run.acts.append(later)
    assert len(elements(judge(run), "rate")) == 2


def test_page_and_picture_are_safe_to_open() -> None:
    report = judge(wrong_run())
    ElementTree.fromstring(picture(report))
    text = html(report)
    assert "a and &lt;b&gt; differ" in text
    assert "<b>" not in text
    assert "FAILED: 3 findings" in text


def test_unknown_writes_of_killed_clients_count_as_unknown() -> None:
    run = good_run()
    run.operations.append(Operation("c9", "key-1", SET, 2 * SECOND, "never answered"))
    assert judge(run).figures[0].counts[SET.name]["unknown"] == 2
    assert run.operations[-1].outcome is Outcome.UNKNOWN
