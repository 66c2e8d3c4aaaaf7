"""Recovering one node: the one job of the workers, for every node and every state.

What is done is in docs/protocol.md, section 6.

- A node that lost its membership, restarted, or stayed behind in an older epoch is set to `syncing`
  first: the guard then refuses clients, until it has everything again.
- The logs of its sources are shipped from its own applied positions, which roll back together with
  its data; where a log does not reach back that far, all keys are walked.
- The one primary takes nothing from replicas: their logs are checked for uncommitted records
  instead. If it restarted, it takes what they have beyond it in a new epoch, or hands its role over
  (section 5).

Which of these is to be done is decided in `classification`, from reports alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redrepl.plans.doubtful_clocks import wrong_clocks
from redrepl.plans.epochs.clocks import set_aside
from redrepl.plans.inspect import newest_topology
from redrepl.plans.recovery.bookkeeping import disown, give_place, mend_bookkeeping
from redrepl.plans.recovery.classification import UNDER_WAY, RecoveryStep, classify
from redrepl.plans.recovery.primary import PrimaryRecovery
from redrepl.plans.recovery.replica import ReplicaRecovery
from redrepl.plans.recovery.run import BringUpOrder, BroughtUp, RecoveryRun
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import check_reached
from redrepl.plans.view import ClusterView
from redrepl.values.clocks import describe_offset
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport

__all__ = ["UNDER_WAY", "BringUpOrder", "BroughtUp", "bring_up"]

EMPTY_AGAIN = "came back empty again: its place goes to the empty server after a pause"


def bring_up(
    layout: KeyLayout, nodes: tuple[str, ...], target: str, order: BringUpOrder
) -> Plan[BroughtUp]:
    """Recover ``target``.

    Raises Unavailable where a node fails in the middle; running it again resumes.
    """
    done, steps = BroughtUp(target), Steps(order.started)
    yield from _bring_up(layout, nodes, target, order, steps, done)
    if done.is_replaced:
        # It is empty in the new epoch, too, and joins. Should it have no membership once more, then
        # that is for another call: an identity is given once.
        once = replace(order, may_replace=False)
        yield from _bring_up(layout, nodes, target, once, Steps(steps.at), done)
        done.finished = done.finished and done.activated
    return done


def _bring_up(
    layout: KeyLayout,
    nodes: tuple[str, ...],
    target: str,
    order: BringUpOrder,
    steps: Steps,
    done: BroughtUp,
) -> Plan[None]:
    reports = yield from steps.inspect(layout, nodes)
    topology = newest_topology(reports)
    if topology is None or target not in topology.ids:
        done.notes.append("is no member" if topology else "no member of the cluster answered")
        return
    check_reached(topology, order.reached)
    run = RecoveryRun(ClusterView(topology), reports, order, steps, done)
    yield from _recover(run, target)


def _recover(run: RecoveryRun, target: str) -> Plan[None]:
    """Do the next step for a member."""
    found = yield from _find(run, target)
    if (yield from _is_set_aside(run, target)):
        return
    sources = run.sources_of(target, run.reports)
    found = yield from mend_bookkeeping(run, found)

    order = run.order
    classification = classify(
        run.view, found, run.reports, sources, order.fails_over, order.own_ahead
    )
    if classification.reason:
        run.note(classification.reason)
    elif classification.step is not RecoveryStep.GIVE_PLACE:
        yield from _carry_out(classification.step, run, found, sources)
    elif order.may_replace:
        yield from give_place(run, target)
        run.done.is_replaced = True
    else:
        run.note(EMPTY_AGAIN)


def _find(run: RecoveryRun, target: str) -> Plan[NodeReport]:
    """The target's report. Raises Unavailable where it gives none that can be used."""
    looked = run.reports
    if looked.unreadable(target) is not None and target != run.view.decider:
        looked = yield from disown(run, target)
    if (found := looked.of(target)) is None:
        why = looked.reason(target, "its address is not known")
        raise Unavailable(f"node {target!r} cannot be brought up", {target: why})
    return found


def _is_set_aside(run: RecoveryRun, target: str) -> Plan[bool]:
    """Whether the target's clock is off; no such member serves anything until that is right."""
    topology, reports, own_ahead = run.view.topology, run.reports, run.order.own_ahead
    seconds = wrong_clocks(topology, reports, own_ahead).get(target)
    if seconds is None:
        return False
    yield from set_aside(run.view.layout, topology, reports, run.steps, own_ahead)
    run.note(f"its clock is {describe_offset(seconds)}: it serves nothing until that is right")
    return True


def _carry_out(
    step: RecoveryStep, run: RecoveryRun, target: NodeReport, sources: Sequence[NodeReport]
) -> Plan[None]:
    """Do what has been decided for a member whose bookkeeping is in order."""
    primary, replica = PrimaryRecovery(run, target), ReplicaRecovery(run, target, sources)
    if step.leaves_others_time and (yield from primary.is_change_under_way()):
        run.note(UNDER_WAY)
        return
    match step:
        case RecoveryStep.RESYNC:
            yield from replica.resync()
        case RecoveryStep.STOP_AND_RESYNC:
            yield from replica.stop_and_resync()
        case RecoveryStep.CHECK_REPLICAS:
            yield from primary.check_replicas(sources)
        case RecoveryStep.FAIL_OVER:
            yield from primary.hand_over_role()
        case RecoveryStep.REINSTATE | RecoveryStep.REINSTATE_AT_ONCE:
            yield from primary.reinstate()
        case RecoveryStep.EMPTY_PRIMARY:
            raise primary.empty_error()
