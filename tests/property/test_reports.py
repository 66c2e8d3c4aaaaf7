"""`parse_report` reads what `inspect` writes, whatever a node holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl.values.errors import ConfigError
from redrepl.values.report import Checkpoint, Cursor, Log, Mark, NodeReport, Position
from redrepl.values.report_answer import UNREADABLE, as_found_in, parse_report
from redrepl.values.sweep import Sweep, SweepReport
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from redrepl.values.walk import Walk

names = st.text("abcdefgh-_0123456789", min_size=1, max_size=8).map(lambda text: "n" + text)
words = st.text("abcdef0123456789", min_size=1, max_size=16)
ids = st.builds(lambda a, b: f"{a}-{b}", st.integers(0, 1 << 62), st.integers(0, 1 << 62))
counts = st.integers(0, 1 << 62)
positions = st.builds(Position, ids, counts)
checkpoints = st.builds(
    Checkpoint, words, positions, names, st.builds(Mark, words, positions), st.integers(1, 1000)
)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any topology."""
    chosen = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    mode = draw(st.sampled_from(Mode))
    primary = draw(st.sampled_from(chosen))
    members = tuple(
        Member(
            node,
            f"redis://{node}:6379/0",
            NodeRole.PRIMARY if mode is Mode.MULTI_PRIMARY or node == primary else NodeRole.REPLICA,
        )
        for node in chosen
    )
    return Topology(draw(names), draw(st.integers(1, 1000)), mode, members)


@st.composite
def members(draw: st.DrawFn) -> dict[str, str]:
    """The member hash of any member."""
    epoch = draw(st.integers(1, 1000))
    fields = {
        "cluster": draw(names),
        "node": draw(names),
        "epoch": str(epoch),
        "run_id": draw(words),
    }
    fields |= {
        "state": draw(st.sampled_from(["active", "syncing", "fenced"])),
        "max_age_micros": "30000000",
    }
    if fields["state"] == "active":
        fields["lineage"] = str(epoch)
    elif draw(st.booleans()):
        fields["lineage"] = str(draw(st.integers(0, epoch)))
    return draw(st.dictionaries(words, words, max_size=5)) | fields


@st.composite
def reports(draw: st.DrawFn) -> NodeReport:
    """Any report."""
    return NodeReport(
        node=draw(names),
        member=draw(st.one_of(st.just({}), members())),
        run_id=draw(words),
        log=Log(
            draw(counts),
            draw(ids),
            draw(counts),
            *(draw(st.one_of(st.just(""), ids)) for _ in range(2)),
        ),
        cursors=draw(st.dictionaries(names, st.builds(Cursor, positions, counts), max_size=4)),
        marks=draw(st.dictionaries(names, st.builds(Mark, words, positions), max_size=4)),
        topology=draw(st.one_of(st.none(), topologies())),
        now_millis=draw(counts),
        clusters=draw(st.dictionaries(names, names, max_size=3)),
        checkpoints=tuple(draw(st.lists(checkpoints, max_size=3))),
        sweep=draw(st.dictionaries(words, words, max_size=2)),
        guard=draw(words),
    )


rubbish = st.recursive(
    st.one_of(
        st.none(),
        st.integers(),
        st.binary(max_size=40),
        st.sampled_from([b"epoch", b"state", b"0-0", b"x" * 99]),
    ),
    lambda inner: st.lists(inner, max_size=11),
    max_leaves=40,
)


@given(st.one_of(rubbish, st.lists(rubbish, min_size=10, max_size=11)))
def test_rubbish_is_read_as_rubbish_or_as_a_report_that_can_be_used(answer: object) -> None:
    try:
        found = parse_report("a", answer, "run-1", (1.0, 2.0))
    except UNREADABLE:
        assert len(as_found_in(answer)) == 4
        return
    assert found.epoch >= found.lineage >= 0
    for name in (
        "era",
        "voided",
        "purged_before",
        "was_ahead_seconds",
        "settled_epoch",
        "log_end",
        "has_restarted",
    ):
        getattr(found, name)


def _flat(pairs: Mapping[str, str]) -> list[bytes]:
    return [text.encode() for pair in pairs.items() for text in pair]


@given(reports())
def test_a_report_comes_back_from_the_answer(report: NodeReport) -> None:
    cursors = {
        n: f"{c.position.id} {c.position.entries} {c.at_millis}" for n, c in report.cursors.items()
    }
    marks = {
        n: f"{m.incarnation} {m.position.id} {m.position.entries}" for n, m in report.marks.items()
    }
    answer = [
        _flat(report.member),
        [*(each.encode() if isinstance(each, str) else each for each in report.log), 0],
        _flat(cursors),
        _flat(marks),
        report.topology.encode().encode() if report.topology else b"",
        b"%d" % report.now_millis,
        _flat(report.clusters),
        [checkpoint.encode() for checkpoint in report.checkpoints],
        _flat(report.sweep),
        (report.guard or "").encode(),
    ]
    assert parse_report(report.node, answer, report.run_id) == report


@given(topologies())
def test_a_topology_comes_back_from_its_text(topology: Topology) -> None:
    assert Topology.parse(topology.encode()) == topology
    assert Topology.parse(topology.encode().encode()) == topology
    writers = {topology.restamp_writer(node) for node in topology.ids}
    assert len(writers) == len(topology.ids)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([1, 2])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
SWEEP = Sweep(1, "a", "run", ("b",), 1, 1, {"b": 1}, 1, 1)
WALK = Walk("inc", "run", "run", 1, Position("1-1", 1))


@given(st.sampled_from([SWEEP, WALK, SweepReport(1, 2, SWEEP.findings)]), st.data())
def test_a_note_that_somebody_changed_is_used_or_is_none(
    note: Sweep | Walk | SweepReport, data: st.DataObject
) -> None:
    content = json.loads(note.encode())
    field = data.draw(st.sampled_from(sorted(content)))
    content[field] = data.draw(json_values)
    text = json.dumps(content)
    try:
        found = type(note).parse(text)
    except ValueError:
        return
    assert type(note).parse(found.encode().decode()) == found


@pytest.mark.parametrize("read", [Sweep.parse, SweepReport.parse, Walk.parse, Topology.parse])
def test_what_is_nested_without_end_is_none(read: Callable[[str], object]) -> None:
    with pytest.raises((ValueError, ConfigError)):
        read("[" * 100_000)
