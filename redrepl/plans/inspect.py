"""Asking nodes about themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from redrepl.plans.view import inspect_keys
from redrepl.values.effects import (
    Command,
    DeadlinePassed,
    Exchange,
    Failure,
    PlainCommand,
    Plan,
    Reply,
    Request,
    ScriptCall,
)
from redrepl.values.errors import ConfigError
from redrepl.values.keys import KeyLayout
from redrepl.values.reasons import is_error_reply, is_refusal
from redrepl.values.report import NodeReport, parse_report
from redrepl.values.topology import Topology

STRAGGLER_SECONDS = 0.05
"""For nodes that have not answered yet when those that matter have."""

PROBE_STORES_SECONDS = 10
"""From one probe that really stores something to the next, per node, however many ask. A server that saves a snapshot
after 100 changes in five minutes, as usual, does so for its clients alone."""

_INFORMATION = 0
_INSPECTION = 1
_PROBE = 2

MONITOR = b"monitor"
VISITOR = b"visitor"
"""Who asks whether a node takes writes: a monitor, which does it all the time; a command or plan that needs to know."""


Found = dict[str, NodeReport | str]


def inspect_nodes(
    layout: KeyLayout,
    nodes: Iterable[str],
    until: float,
    is_enough: Callable[[Found], bool] | None = None,
    known: Topology | None = None,
    probe_as: bytes | None = None,
) -> Plan[Found]:
    """Each node's report, or in words why there is none. Never raises for a node's failure.

    is_enough: once it holds of what was found, the others get a moment, and are not waited for until the end.
    known: the topology that the caller goes by. By it, or by a newer one that is found, it is judged which servers are
    members, and whose cursors and marks count.
    probe_as: have the nodes tried whether they take writes, and who asks that.
    """
    nodes = tuple(nodes)
    found: Found = dict.fromkeys(nodes, "no answer in time")
    informed: dict[str, bytes] = {}
    probed: dict[str, int | str] = {}
    open_nodes = set(nodes)
    asked_at = yield from _look_at_the_clock()
    effect = Exchange(_questions(layout, nodes, probe_as), until, fresh=True)
    while open_nodes:
        event = yield effect
        effect = Exchange((), until)
        if isinstance(event, DeadlinePassed):
            break
        if isinstance(event, Failure) and event.tag == _PROBE and is_refusal(event.reason):
            probed[event.node] = event.reason
        elif isinstance(event, Failure) and event.tag == _PROBE and is_error_reply(event.reason):
            continue  # something else is stored under a name of the probe's: that says nothing about writes
        elif isinstance(event, Failure):
            found[event.node] = event.reason
            open_nodes.discard(event.node)
        elif isinstance(event, Reply) and event.tag == _INFORMATION:
            informed[event.node] = event.content
        elif isinstance(event, Reply) and event.tag == _PROBE:
            probed[event.node] = event.content
        elif isinstance(event, Reply) and event.node in open_nodes:
            report = _read(event, informed.get(event.node, b""), asked_at)
            found[event.node] = _with_probe(report, probed.get(event.node))
            open_nodes.discard(event.node)
            if is_enough is not None and is_enough(found):
                until = min(until, event.at + STRAGGLER_SECONDS)
                effect = Exchange((), until)
    return _as_seen(found, known)


def newest_topology(reports: Mapping[str, NodeReport | str]) -> Topology | None:
    """The newest topology among node reports."""
    known = [report.topology for report in reports.values() if isinstance(report, NodeReport) and report.topology]
    return max(known, key=lambda topology: topology.epoch, default=None)


def _as_seen(found: Found, known: Topology | None) -> Found:
    newest = newest_topology(found)
    if newest is None or (known is not None and known.epoch >= newest.epoch):
        newest = known
    if newest is None:
        return found
    return {node: report if isinstance(report, str) else report.seen_by(newest) for node, report in found.items()}


def run_id_in(information: bytes) -> str:
    """The run id in the answer to INFO, '' where the server hides it."""
    lines = (line for line in information.splitlines() if line.startswith(b"run_id:"))
    return next(lines, b"run_id:")[7:].strip().decode()


def _look_at_the_clock() -> Plan[float]:
    """The driver's clock: an exchange without requests whose time is over ends at once."""
    event = yield Exchange((), 0.0, fresh=True)
    assert event is not None
    return event.at


def _with_probe(report: NodeReport | str, probed: int | str | None) -> NodeReport | str:
    """The report, with what the node said to a write."""
    if isinstance(report, str) or probed is None:
        return report
    if isinstance(probed, str):
        return replace(report, refusal=probed.partition(" script: ")[0])
    return replace(report, refusal="", monitor_seconds=probed / 1000 if probed >= 0 else None)


def _questions(layout: KeyLayout, nodes: tuple[str, ...], probe_as: bytes | None) -> tuple[Request, ...]:
    # The inspection last: replies of one node come in order, so all else is known when it arrives.
    questions: list[tuple[Command, int]] = [(PlainCommand((b"INFO", b"server", b"keyspace")), _INFORMATION)]
    if probe_as is not None:
        keys = (layout.member, layout.probe, layout.no_stream, layout.no_string, layout.data_prefix)
        questions.append((ScriptCall("probe_write", keys, (probe_as, PROBE_STORES_SECONDS * 1000)), _PROBE))
    questions.append((ScriptCall("inspect", inspect_keys(layout), ()), _INSPECTION))
    return tuple(Request(node, command, tag) for node in nodes for command, tag in questions)


def _read(event: Reply, information: bytes, asked_at: float) -> NodeReport | str:
    if not (run_id := run_id_in(information)):
        return "INFO names no run_id: restarts of this server could not be noticed"
    try:
        report = parse_report(event.node, event.content, run_id, (asked_at, event.at))
        return report if report.member else _with_past(report, information)
    except (ConfigError, ValueError) as error:
        return f"its bookkeeping (the keys <cluster>:m:*) cannot be read, something else wrote there: {error}"


def _with_past(stranger: NodeReport, information: bytes) -> NodeReport:
    """What tells a server that came back empty from one that was emptied, and from a wrong database number."""
    pairs = [line.partition(b":")[::2] for line in information.splitlines()]
    uptime = next((int(value) for name, value in pairs if name == b"uptime_in_seconds"), None)
    databases = tuple(name.decode() for name, value in pairs if value.startswith(b"keys="))
    return replace(stranger, uptime_seconds=uptime, databases=databases)
