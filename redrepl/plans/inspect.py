"""Asking nodes about themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from redrepl.plans.hearsay import Voice, believed, not_believed
from redrepl.plans.scatter import NO_ANSWER
from redrepl.plans.view import inspect_keys
from redrepl.values.answers.membership import Probed, parse_probe
from redrepl.values.effects import (
    Ask,
    Command,
    Exchange,
    Failure,
    PlainCommand,
    Plan,
    Reply,
    Request,
    ScriptCall,
    Wait,
)
from redrepl.values.keys import KeyLayout
from redrepl.values.permissions import CLIENTS_COMMANDS, FENCE_COMMANDS
from redrepl.values.reading import whole_number
from redrepl.values.reasons import NOT_OURS, is_error_reply, is_refusal
from redrepl.values.report import LastEntry, NodeReport
from redrepl.values.report_answer import UNREADABLE, Unreadable, as_found_in, parse_report
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

STRAGGLER_SECONDS = 0.05
"""For nodes that have not answered yet when those that matter have."""

PROBE_STORES_SECONDS = 10
"""From one probe that really stores something to the next, per node, however many ask.

A server that saves a snapshot after 100 changes in five minutes, as usual, does so for its clients
alone.
"""

_INFORMATION, _INSPECTION, _PROBE = range(3)
QUESTIONS = 3
"""Tags of the questions to a node, and how many of them there may be."""

MONITOR = b"monitor"
VISITOR = b"visitor"
"""Who asks whether a node takes writes: a monitor, which does it all the time; a command or plan
that needs to know.
"""

NO_ENTRIES: Mapping[str, LastEntry] = MappingProxyType({})


def inspect_nodes(
    layout: KeyLayout,
    nodes: Iterable[str],
    until: float,
    is_enough: Callable[[Reports], bool] | None = None,
    known: Topology | None = None,
    probe_as: bytes | None = None,
    last_entries: Mapping[str, LastEntry] = NO_ENTRIES,
) -> Plan[Reports]:
    """Each node's report, or in words why there is none.

    Never raises for a node's failure.

    is_enough: once it holds of what was found, the others get a moment, and are not waited for
    until the end.
    known: the topology that the caller goes by. By it, or by a newer one that is found, it is
    judged which servers are members, and whose cursors and marks count.
    probe_as: have the nodes tried whether they take writes, and who asks that.
    last_entries: what the caller saw of their logs before, by node; a report says where that was
    lost.
    """
    nodes = tuple(nodes)
    found: dict[str, NodeReport | str] = dict.fromkeys(nodes, NO_ANSWER)
    asked_at = yield from look_at_the_clock()
    answers = {node: Answers(asked_at, last_entries.get(node)) for node in nodes}
    questions = [
        question
        for node in nodes
        for question in questions_to(layout, node, probe_as=probe_as, last=last_entries.get(node))
    ]
    effect: Exchange = Ask(tuple(questions), until)
    while answers:
        event = yield effect
        effect = Wait(until)
        if not isinstance(event, (Reply, Failure)):
            break
        if (
            event.node not in answers
            or (outcome := answers[event.node].take(event, event.tag)) is None
        ):
            continue
        del answers[event.node]
        found[event.node] = outcome
        if isinstance(event, Reply) and is_enough is not None and is_enough(Reports.collect(found)):
            until = min(until, event.at + STRAGGLER_SECONDS)
            effect = Wait(until)
    return as_seen(Reports.collect(found), known)


def newest_topology(reports: Reports, known: Topology | None = None) -> Topology | None:
    """The newest topology among node reports that is to be believed (redrepl/plans/hearsay.py)."""
    return believed(voices_of(reports).values(), known)


def voices_of(reports: Reports) -> dict[str, Voice]:
    """What members say, each of itself.

    One that says at a member's place that it is another member may be that, where an address is
    wrong, or lie: it speaks for neither.
    """
    told = [report.own_topology for report in reports.present.values()]
    places = {place for topology in told if topology is not None for place in topology.ids}
    return {
        name: Voice(
            node
            if (node := report.member.get("node", "")) == name or name not in places
            else f"{node} at {name}",
            report.identity,
            report.epoch,
            report.state.serves and not (report.has_restarted or report.has_returned),
            report.own_topology,
            report.has_restarted,
        )
        for name, report in reports.present.items()
        if report.member
    }


def as_seen(found: Reports, known: Topology | None) -> Reports:
    """Reports as they are judged by the newest topology among them, or by the known one where that
    is newer.

    Who tells what cannot be true is left out, with the reason in place of its report. That a login
    may move no member at all says nothing of a member: it is one of an application, or that reads
    alone.
    """
    members = {name: report for name, report in found.present.items() if report.member}
    if all(report.denied for report in members.values()):
        found = found.updated(
            Reports({name: replace(report, denied="") for name, report in members.items()})
        )
    doubted = not_believed(voices_of(found), known)
    lies = {
        name: Unreadable(f"{NOT_OURS}: {why}", found.present[name].as_found)
        for name, why in doubted.items()
    }
    found = found.updated(Reports(silent=lies))
    newest = newest_topology(found)
    if newest is None or (known is not None and known.epoch >= newest.epoch):
        newest = known
    if newest is None:
        return found
    return found.updated(
        Reports({node: report.seen_by(newest) for node, report in found.present.items()})
    )


def run_id_in(information: bytes) -> str:
    """The run id in the answer to INFO, '' where the server hides it."""
    lines = (line for line in information.splitlines() if line.startswith(b"run_id:"))
    return next(lines, b"run_id:")[7:].strip().decode(errors="replace")


def look_at_the_clock() -> Plan[float]:
    """The driver's clock: a question without requests whose time is over ends at once."""
    event = yield Ask((), 0.0)
    return event.at


def _with_probe(report: NodeReport | str, probed: Probed | str | None) -> NodeReport | str:
    """The report, with what the node said to a write."""
    if isinstance(report, str) or probed is None:
        return report
    if isinstance(probed, str):
        return replace(report, refusal=probed.partition(" script: ")[0])
    seconds = None if probed.monitor_millis is None else probed.monitor_millis / 1000
    return replace(report, refusal="", denied=probed.denied, monitor_seconds=seconds)


def questions_to(
    layout: KeyLayout,
    node: str,
    first_tag: int = 0,
    probe_as: bytes | None = None,
    last: LastEntry | None = None,
) -> tuple[Request, ...]:
    """What a node is asked about itself, with tags from this one on."""
    # The inspection last: replies of one node come in order, so all else is known when it arrives.
    questions: list[tuple[Command, int]] = [
        (PlainCommand((b"INFO", b"server", b"keyspace")), _INFORMATION)
    ]
    if probe_as is not None:
        keys = (layout.member, layout.probe, layout.no_stream, layout.no_string, layout.data_prefix)
        how = (
            probe_as,
            PROBE_STORES_SECONDS * 1000,
            CLIENTS_COMMANDS.encode(),
            FENCE_COMMANDS.encode(),
        )
        questions.append((ScriptCall("probe_write", keys, how), _PROBE))
    entry = (last.entry_id.encode(),) if last is not None and last.entry_id else ()
    questions.append((ScriptCall("inspect", inspect_keys(layout), entry), _INSPECTION))
    return tuple(Request(node, command, first_tag + question) for command, question in questions)


class Answers:
    """What one node has answered so far to what it was asked at one time.

    Whatever comes is read here and nowhere else; what cannot be read is the reason why this node
    gave no answer.
    """

    def __init__(self, asked_at: float, last: LastEntry | None = None) -> None:
        self.asked_at = asked_at
        self._last = last
        self._information = b""
        self._probed: Probed | str | None = None

    def take(self, event: Reply | Failure, question: int) -> NodeReport | str | None:
        """The node's report, or in words why there is none; None while more is to come."""
        if isinstance(event, Failure):
            if question != _PROBE or not is_error_reply(event.reason):
                return event.reason
            # Else something is stored under a name of the probe's: that says nothing about writes.
            self._probed = event.reason if is_refusal(event.reason) else None
            return None
        if question == _INFORMATION:
            self._information = event.content if isinstance(event.content, bytes) else b""
        elif question == _PROBE:
            self._probed = parse_probe(event.content) or f"{NOT_OURS}: {event.content!r:.80}"
        else:
            return _with_probe(
                _read(event, self._information, self.asked_at, self._last), self._probed
            )
        return None


def _read(
    event: Reply, information: bytes, asked_at: float, last: LastEntry | None
) -> NodeReport | str:
    if not (run_id := run_id_in(information)):
        return "INFO names no run_id: restarts of this server could not be noticed"
    try:
        report = parse_report(event.node, event.content, run_id, (asked_at, event.at), last)
        return report if report.member else _with_past(report, information)
    except UNREADABLE as error:
        what = (
            "its bookkeeping (the keys <cluster>:m:*) cannot be read, something else wrote "
            f"there: {error!s:.200}"
        )
        return Unreadable(what, as_found_in(event.content))


def _with_past(stranger: NodeReport, information: bytes) -> NodeReport:
    """What tells a server that came back empty from one that was emptied, and from a wrong database
    number.
    """
    pairs = [line.partition(b":")[::2] for line in information.splitlines()]
    uptime = next(
        (whole_number(value) for name, value in pairs if name == b"uptime_in_seconds"), None
    )
    databases = tuple(
        name.decode(errors="replace") for name, value in pairs if value.startswith(b"keys=")
    )
    return replace(stranger, uptime_seconds=uptime, databases=databases)
