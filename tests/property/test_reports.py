"""`parse_report` reads what `inspect` writes, whatever a node holds."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from redrepl.values.report import Checkpoint, Cursor, Log, Mark, NodeReport, Position, parse_report
from redrepl.values.topology import Member, Mode, NodeRole, Topology

names = st.text("abcdefgh-_0123456789", min_size=1, max_size=8).map(lambda text: "n" + text)
words = st.text("abcdef0123456789", min_size=1, max_size=16)
ids = st.builds(lambda a, b: f"{a}-{b}", st.integers(0, 1 << 62), st.integers(0, 1 << 62))
counts = st.integers(0, 1 << 62)
positions = st.builds(Position, ids, counts)
checkpoints = st.builds(Checkpoint, words, positions, names, st.builds(Mark, words, positions), st.integers(1, 1000))


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
def reports(draw: st.DrawFn) -> NodeReport:
    """Any report."""
    return NodeReport(
        node=draw(names),
        member=draw(st.dictionaries(words, words, max_size=5)),
        run_id=draw(words),
        log=Log(draw(counts), draw(ids), draw(counts), draw(st.one_of(st.just(""), ids))),
        cursors=draw(st.dictionaries(names, st.builds(Cursor, positions, counts), max_size=4)),
        marks=draw(st.dictionaries(names, st.builds(Mark, words, positions), max_size=4)),
        topology=draw(st.one_of(st.none(), topologies())),
        now_millis=draw(counts),
        clusters=draw(st.dictionaries(names, names, max_size=3)),
        checkpoints=tuple(draw(st.lists(checkpoints, max_size=3))),
        sweep=draw(st.dictionaries(words, words, max_size=2)),
        guard=draw(words),
    )


def _flat(pairs: Mapping[str, str]) -> list[bytes]:
    return [text.encode() for pair in pairs.items() for text in pair]


@given(reports())
def test_a_report_comes_back_from_the_answer(report: NodeReport) -> None:
    cursors = {n: f"{c.position.id} {c.position.entries} {c.at_millis}" for n, c in report.cursors.items()}
    marks = {n: f"{m.incarnation} {m.position.id} {m.position.entries}" for n, m in report.marks.items()}
    answer = [
        _flat(report.member),
        [report.log.length, report.log.last_id.encode(), report.log.added, report.log.first_id.encode()],
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
