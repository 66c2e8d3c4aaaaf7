"""Reading which nodes form the cluster, from the nodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from redrepl.plans.hearsay import (
    Voice,
    believed,
    cannot_follow,
    in_later_epochs,
    may_be_over,
    may_follow,
)
from redrepl.plans.inspect import (
    STRAGGLER_SECONDS,
    inspect_nodes,
    look_at_the_clock,
    newest_topology,
    voices_of,
)
from redrepl.plans.scatter import NO_ANSWER
from redrepl.plans.strangers import no_member_error
from redrepl.plans.view import ClusterView
from redrepl.values.clocks import ClockReading
from redrepl.values.effects import (
    Answer,
    Ask,
    Exchange,
    Failure,
    PlainCommand,
    Plan,
    Reply,
    Request,
    Wait,
)
from redrepl.values.errors import ConfigError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.reasons import SILENT, epoch_served, is_crash
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


class Told(NamedTuple):
    """The newest topology that members told, None where none did; whether they are a majority of
    those known; why others told nothing; and all that were told.

    dispute: what each member says where the topology may be over all the same, as `may_be_over`
    means it; else empty.
    was_cut_short: the time was over while members had not answered.
    """

    topology: Topology | None
    is_majority: bool
    failures: dict[str, str]
    topologies: tuple[Topology, ...] = ()
    dispute: Mapping[str, str] = MappingProxyType({})
    was_cut_short: bool = False


_TOPOLOGY, _GUARD = range(2)
"""Tags of the questions to a member.

It answers in order: its guard, with the epoch it works in, comes first.
"""


def hear_topology(view: ClusterView, until: float) -> Plan[Told]:
    """Ask all members for the topology, until a majority has told the present one, or nearly all a
    later one.

    Never raises.

    A later one that a single member tells is measured by what the others say
    (redrepl/plans/hearsay.py).
    """
    told, guard = (
        PlainCommand((b"HGET", view.layout.topology, b"topology")),
        PlainCommand((b"GET", view.layout.guard)),
    )
    requests = [
        Request(node, *each) for node in view.ids for each in ((guard, _GUARD), (told, _TOPOLOGY))
    ]
    effect: Exchange = Ask(tuple(requests), until)
    guards: dict[str, Answer] = {}
    voices: dict[str, Voice] = {}
    failures: dict[str, str] = {}
    answered, majority = 0, len(view.ids) // 2 + 1
    # What a majority does not know was not completed.
    while answered < len(view.ids):
        event = yield effect
        if not isinstance(event, (Reply, Failure)):
            break
        if isinstance(event, Reply) and event.tag == _GUARD:
            guards[event.node] = event.content
        elif event.tag == _TOPOLOGY:
            answered += 1
            if isinstance(event, Failure):
                failures[event.node] = event.reason
            elif (voice := _voice_of(view, event, guards.get(event.node))) is not None:
                voices[event.node] = voice
        if len(voices) >= majority:
            if _agree(voices.values(), view.topology, majority):
                break
            if not _is_undecided(voices.values(), view.topology):
                until = min(until, event.at + STRAGGLER_SECONDS)
        effect = Wait(until)
    found = believed(voices.values(), view.topology) if voices else None
    if found is not None and not may_follow(found, view.topology, voices.values()):
        found = view.topology
    told_by = tuple(voice.topology for voice in voices.values() if voice.topology is not None)
    dispute = _dispute(view, found or view.topology, voices, failures)
    return Told(
        found, len(voices) >= majority, failures, told_by, dispute, answered < len(view.ids)
    )


def _dispute(
    view: ClusterView, found: Topology, voices: Mapping[str, Voice], failures: Mapping[str, str]
) -> Mapping[str, str]:
    """What each member says where it cannot be told whether this topology is over; else nothing."""
    served = {node: epoch_served(reason) for node, reason in failures.items()}
    if not may_be_over(found, voices.values(), served):
        return {}
    later = in_later_epochs(found, voices.values())
    said = {node: f"is in epoch {later.get(node, voice.epoch)}" for node, voice in voices.items()}
    return {node: said.get(node) or failures.get(node, NO_ANSWER) for node in view.ids}


def _agree(voices: Collection[Voice], known: Topology, majority: int) -> bool:
    """Whether nobody tells of anything later than what is known, or a majority tells the same.

    One that was moved to an epoch of which it has not been told yet is no end: the primary of that
    tells it.
    """
    newest = max(voices, key=lambda voice: voice.epoch)
    if newest.epoch <= known.epoch:
        return True
    told = newest.topology
    is_told = told is not None and told.epoch > known.epoch
    return is_told and sum(voice.topology == told for voice in voices) >= majority


def _is_undecided(voices: Collection[Voice], known: Topology) -> bool:
    """Whether a member serves in a later epoch than is believed so far, or tells one: whoever has
    not answered yet may decide it.
    """
    return bool(in_later_epochs(believed(voices, known) or known, voices))


def _voice_of(view: ClusterView, event: Reply, guard: Answer) -> Voice | None:
    """What a member tells; None where that cannot be read."""
    try:
        told = Topology.parse(event.content)
    except (ConfigError, TypeError):
        return None
    found = re.match(rb"(\d{1,9}) (\w+)$", guard) if isinstance(guard, bytes) else None
    epoch, state = told.epoch, MemberState.UNKNOWN
    if found is not None:
        epoch, state = int(found[1]), MemberState.parse(found[2])
    own = told if told.epoch <= epoch and told.cluster == view.layout.cluster else None
    return Voice(event.node, view.topology.identities[event.node], epoch, state.serves, own)


def read_topology(view: ClusterView, until: float) -> Plan[Topology]:
    """The newest topology that a member knows.

    An older one does no harm: the guard refuses whoever acts on it.
    """
    told = yield from hear_topology(view, until)
    if told.topology is None:
        raise Unavailable("no member could tell the topology", told.failures)
    return told.topology


def read_clocks(view: ClusterView, started: float, until: float) -> Plan[dict[str, ClockReading]]:
    """The clocks of a majority of the members, or of those that answer in time. Never raises."""
    effect: Exchange = Ask(
        tuple(Request(node, PlainCommand((b"TIME",))) for node in view.ids), until
    )
    found: dict[str, ClockReading] = {}
    failed = 0
    while len(found) <= len(view.ids) // 2 and len(found) + failed < len(view.ids):
        event = yield effect
        effect = Wait(until)
        if isinstance(event, Reply):
            seconds = int(event.content[0]) + int(event.content[1]) / 1e6
            found[event.node] = ClockReading(seconds - event.at, seconds - started)
        elif isinstance(event, Failure):
            failed += 1
        else:
            break
    return found


def check_members_stayed(topology: Topology, moved: Reports, fenced: Collection[str]) -> None:
    """Raise Unavailable where one that was moved knows other members, later ones, than those who
    were counted.

    Another server of the same name is another member. That the role moved meanwhile does not
    matter: a majority is one of the same members then. A change of members moves the primary first:
    where that was fenced, its word alone counts. What cannot have been begun
    (redrepl/plans/hearsay.py) is no change.
    """
    voices = voices_of(moved)
    witnesses = [topology.decider] if topology.decider in fenced else voices
    told = [voices[node].topology for node in witnesses if node in voices]
    begun = [
        each
        for each in told
        if each is not None and not cannot_follow(each, topology, voices.values())
    ]
    newest = max(begun, key=lambda each: each.epoch, default=None)
    if (
        newest is not None
        and newest.epoch > topology.epoch
        and newest.identities != topology.identities
    ):
        evidence = {
            f"epoch {newest.epoch}": f"members are {', '.join(newest.ids)}, or other servers of "
            "these names"
        }
        raise Unavailable("somebody else changed the members meanwhile", evidence)


class Discovery(NamedTuple):
    """The topology, which seed reached which member, and what each seed answered."""

    topology: Topology
    seed_of: dict[str, str]
    reports: Reports

    @property
    def is_in_doubt(self) -> bool:
        """Whether this topology may be over for all that was answered."""
        voices = voices_of(self.reports)
        members = self.topology.identities
        served = {
            voices[name].node: report.lineage
            for name, report in self.reports.present.items()
            if name in voices and members.get(voices[name].node) == report.identity
        }
        return may_be_over(self.topology, voices.values(), served)

    @property
    def reached_in_seconds(self) -> float:
        """How long the slowest node that answered took, opening the connection included."""
        clocks = [report.clock for report in self.reports.present.values() if report.clock]
        return max((clock.most - clock.least for clock in clocks), default=0.0)


def discover(
    layout: KeyLayout, seeds: tuple[str, ...], soon: float, until: float | None = None
) -> Plan[Discovery]:
    """Find the cluster behind some addresses.

    Raises Unavailable saying what each of them answered.

    Where no member has answered by ``soon``, and some may only be far, they are waited for until
    ``until``.
    """
    asked_at = yield from look_at_the_clock()
    reports = yield from inspect_nodes(layout, seeds, soon, _is_at_work)
    topology = newest_topology(reports)
    may_be_far = any(not is_crash(reason) for reason in reports.silent.values())
    if topology is None and may_be_far and until is not None:
        reports = yield from inspect_nodes(layout, seeds, until, _is_at_work)
        topology = newest_topology(reports)
    if topology is None:
        waited = f"{SILENT} {(yield from look_at_the_clock()) - asked_at:.1f} s"
        late = {seed: waited for seed, reason in reports.silent.items() if reason == NO_ANSWER}
        raise no_member_error(layout.cluster, reports.updated(Reports(silent=late)))
    members = {
        report.member["node"]: seed for seed, report in reports.present.items() if report.member
    }
    return Discovery(topology, members, reports)


def _is_at_work(reports: Reports) -> bool:
    """Whether a majority of the members has answered and the primaries of the newest topology among
    them serve in it.

    Nobody needs to wait for the others then: one of them may be frozen.
    """
    topology = newest_topology(reports)
    if topology is None:
        return False
    found = {report.member.get("node"): report for report in reports.present.values()}
    members = [found[node] for node in topology.ids if node in found]
    serving = {r.member["node"] for r in members if r.state.serves and r.epoch == topology.epoch}
    return len(members) > len(topology.ids) // 2 and serving.issuperset(topology.primaries)
