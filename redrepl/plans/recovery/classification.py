"""What a node's recovery does next, decided from reports alone: no I/O, and no state between two
decisions.

Two tables say everything: `step_for` has the step for the node, `resync_method` how a copy is
brought to the state of one source. Tests read these tables and try every combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from redrepl.plans.copies import full_sync
from redrepl.plans.epochs.soundness import between_epochs, may_have_forgotten_epoch, successors
from redrepl.plans.view import ClusterView
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports

UNDER_WAY = "a change of epoch is under way"
NO_SOURCE = "no node to bring it up from: none is active in this epoch"


class RecoveryStep(Enum):
    """What is to be done for a node.

    WAIT: nothing, as another process is to end a change of epoch.
    NO_SOURCE: nothing, as no member could fill it.
    GIVE_PLACE: it came back empty; its place goes to the empty server, in a new epoch.
    STOP_AND_RESYNC: it stops serving clients, is resynced, and is admitted again.
    RESYNC: it is resynced; it is admitted where it did not serve.
    CHECK_REPLICAS: the primary serves; the replicas' logs are checked for uncommitted records.
    FAIL_OVER: the primary's role goes to another member, or to itself in a new epoch.
    REINSTATE: the primary is put back to work with what the surviving replicas have beyond it.
    REINSTATE_AT_ONCE: the same; no other process can end the change of epoch.
    EMPTY_PRIMARY: the primary came back empty; only an operator can tell what is to become of it.
    """

    WAIT = "wait"
    NO_SOURCE = "no source"
    GIVE_PLACE = "give place"
    STOP_AND_RESYNC = "stop and resync"
    RESYNC = "resync"
    CHECK_REPLICAS = "check replicas"
    FAIL_OVER = "fail over"
    REINSTATE = "reinstate"
    REINSTATE_AT_ONCE = "reinstate at once"
    EMPTY_PRIMARY = "empty primary"

    @property
    def leaves_others_time(self) -> bool:
        """Whether a change of epoch that another process is at work on comes first."""
        return self in (RecoveryStep.FAIL_OVER, RecoveryStep.REINSTATE, RecoveryStep.EMPTY_PRIMARY)


class Facts(NamedTuple):
    """What a step depends on.

    is_primary: it is the one primary. has_source: a member could fill it. is_member: its server
    holds a membership. is_ahead: it works in a later epoch than the published one.
    may_have_forgotten: it restarted, and a later epoch may have begun with it.
    is_out: it does not serve clients in the published epoch, or may have lost records.
    is_unfinished: members were moved to an epoch that is not published, and the node did not
    restart. has_successor: a failover would find a primary. may_fail_over: this run may begin one.
    """

    is_primary: bool
    has_source: bool
    is_member: bool
    is_ahead: bool
    may_have_forgotten: bool
    is_out: bool
    is_unfinished: bool
    has_successor: bool
    may_fail_over: bool


class Classification(NamedTuple):
    """The step, and what the operator is told of it ('' where the step itself tells)."""

    step: RecoveryStep
    reason: str = ""


def classify(
    view: ClusterView,
    target: NodeReport,
    reports: Reports,
    sources: Sequence[NodeReport],
    may_fail_over: bool,
    own_ahead: float | None,
) -> Classification:
    """The step for a member, as it and the others were found.

    sources: members that could fill it. own_ahead: see
    `redrepl.plans.doubtful_clocks.wrong_clocks`.
    """
    step = step_for(facts_of(view, target, reports, sources, may_fail_over, own_ahead))
    return Classification(step, _REASONS.get(step, ""))


_REASONS = {RecoveryStep.WAIT: UNDER_WAY, RecoveryStep.NO_SOURCE: NO_SOURCE}


def facts_of(
    view: ClusterView,
    target: NodeReport,
    reports: Reports,
    sources: Sequence[NodeReport],
    may_fail_over: bool,
    own_ahead: float | None,
) -> Facts:
    """What `step_for` goes by. Parameters as of `classify`."""
    topology = view.topology
    is_in_epoch = target.is_serving and target.epoch == topology.epoch
    return Facts(
        is_primary=target.node == view.decider,
        has_source=bool(sources),
        is_member=bool(target.member),
        is_ahead=target.epoch > topology.epoch,
        may_have_forgotten=may_have_forgotten_epoch(topology, target, reports),
        is_out=target.is_in_doubt or target.has_forgotten or not is_in_epoch,
        is_unfinished=bool(between_epochs(topology, reports)) and not target.has_restarted,
        has_successor=bool(successors(topology, reports, own_ahead)),
        may_fail_over=may_fail_over,
    )


def step_for(facts: Facts) -> RecoveryStep:
    """The step for these facts: yes, no, or - where a fact does not matter.

    Exactly one row applies.

    ======= ====== ====== ===== ====== === ========== ========= ========= =================
    primary source member ahead forgot out unfinished successor fail over step
    ======= ====== ====== ===== ====== === ========== ========= ========= =================
    no      no     -      -     -      -   -          -         -         NO_SOURCE
    no      yes    no     -     -      -   -          -         -         GIVE_PLACE
    no      yes    yes    yes   -      -   -          -         -         WAIT
    no      yes    yes    no    yes    -   -          -         -         WAIT
    no      yes    yes    no    no     yes -          -         -         STOP_AND_RESYNC
    no      yes    yes    no    no     no  -          -         -         RESYNC
    yes     -      -      -     -      -   yes        no        -         REINSTATE_AT_ONCE
    yes     -      -      yes   -      -   yes        yes       -         WAIT
    yes     -      -      no    -      no  yes        yes       -         CHECK_REPLICAS
    yes     -      -      no    -      yes yes        yes       yes       FAIL_OVER
    yes     -      yes    no    -      yes yes        yes       no        REINSTATE
    yes     -      no     no    -      yes yes        yes       no        EMPTY_PRIMARY
    yes     -      -      -     -      no  no         -         -         CHECK_REPLICAS
    yes     -      -      -     -      yes no         yes       yes       FAIL_OVER
    yes     -      yes    -     -      yes no         yes       no        REINSTATE
    yes     -      no     -     -      yes no         yes       no        EMPTY_PRIMARY
    yes     -      yes    -     -      yes no         no        -         REINSTATE
    yes     -      no     -     -      yes no         no        -         EMPTY_PRIMARY
    ======= ====== ====== ===== ====== === ========== ========= ========= =================
    """
    return _step_for_primary(facts) if facts.is_primary else _step_for_replica(facts)


def _step_for_replica(facts: Facts) -> RecoveryStep:
    if not facts.has_source:
        return RecoveryStep.NO_SOURCE
    if not facts.is_member:
        return RecoveryStep.GIVE_PLACE
    if facts.is_ahead or facts.may_have_forgotten:
        return RecoveryStep.WAIT
    return RecoveryStep.STOP_AND_RESYNC if facts.is_out else RecoveryStep.RESYNC


def _step_for_primary(facts: Facts) -> RecoveryStep:
    if facts.is_unfinished and not facts.has_successor:
        return RecoveryStep.REINSTATE_AT_ONCE
    if facts.is_unfinished and facts.is_ahead:
        # The monitors end what was left unfinished. Another process that comes in between makes
        # them start over.
        return RecoveryStep.WAIT
    if not facts.is_out:
        return RecoveryStep.CHECK_REPLICAS
    if facts.may_fail_over and facts.has_successor:
        return RecoveryStep.FAIL_OVER
    return RecoveryStep.REINSTATE if facts.is_member else RecoveryStep.EMPTY_PRIMARY


class ResyncMethod(Enum):
    """How a copy is brought to the state of one source.

    WALK: all keys of both are compared.
    LOG: the source's log is read from the copy's applied position; where it does not reach back
    that far, all keys are walked after all.
    DISCARD_FIRST: the same, after the copy gave up what the cluster went on without; where the
    copy's own log does not tell that, all keys are walked.
    """

    WALK = "walk"
    LOG = "log"
    DISCARD_FIRST = "discard first"


class ResyncFacts(NamedTuple):
    """What a method depends on.

    is_exact: all keys are to be walked in any case. is_walked: a walk over this source is noted as
    ended. is_unknown: what the copy holds is not known from its log and its applied positions.
    is_diverged: the copy served last in an earlier epoch, so that it may hold what the cluster
    went on without.
    """

    is_exact: bool
    is_walked: bool
    is_unknown: bool
    is_diverged: bool


def resync_facts(
    view: ClusterView, source: NodeReport, target: NodeReport, is_exact: bool
) -> ResyncFacts:
    """What `resync_method` goes by. ``is_exact``: all keys are to be walked in any case."""
    # A copy that may have dropped records by a wrong clock does not find in the log what it
    # dropped. Nor does one that lost memory: a catch-up that was under way has moved its applied
    # position beyond what it lost.
    may_lack = target.is_in_doubt or target.has_forgotten
    # One that never served may hold records from an earlier membership, which its log does not
    # name.
    is_new = target.lineage == 0 and source.node not in target.marks
    return ResyncFacts(
        is_exact=is_exact,
        is_walked=full_sync.is_walked(view, source, target),
        is_unknown=may_lack or is_new,
        is_diverged=is_diverged(view, target),
    )


def is_diverged(view: ClusterView, target: NodeReport) -> bool:
    """Whether a copy of the one primary served last in an earlier epoch: the cluster may have
    continued without it.
    """
    return view.decider is not None and target.lineage < view.topology.epoch


def resync_method(facts: ResyncFacts) -> ResyncMethod:
    """The method for these facts: yes, no, or - where a fact does not matter.

    Exactly one row applies.

    ===== ====== ======= ======== =============
    exact walked unknown diverged method
    ===== ====== ======= ======== =============
    yes   -      -       -        WALK
    no    yes    -       -        LOG
    no    no     yes     -        WALK
    no    no     no      yes      DISCARD_FIRST
    no    no     no      no       LOG
    ===== ====== ======= ======== =============
    """
    if facts.is_exact:
        return ResyncMethod.WALK
    if facts.is_walked:
        return ResyncMethod.LOG
    if facts.is_unknown:
        return ResyncMethod.WALK
    return ResyncMethod.DISCARD_FIRST if facts.is_diverged else ResyncMethod.LOG
