"""What a worker or monitor says about what it sees when it looks at the nodes."""

from __future__ import annotations

from redis.exceptions import ConnectionError, TimeoutError

from redrepl import Configuration
from redrepl.doors.operating import answers_of, no_member_error
from redrepl.edges.endpoint import address, split_url
from redrepl.edges.queue_connection import describe_queue_error
from redrepl.values.reasons import advice_on, kind_of
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology
from redrepl_workers.troubles import Troubles, without_numbers

CLUSTER = "the cluster"
MODE = "the mode"
QUEUE = "the queue"

FORGOT = (
    "%s lost part of its memory while its server went on (%s); it serves nothing until it "
    "was brought up"
)
"""What is said of a member that was set aside since it forgot: which, and what shows it."""


def tell(
    troubles: Troubles, configuration: Configuration, topology: Topology | None, reports: Reports
) -> None:
    """Say that no member answers, that single members do not, or that the file names another mode
    than the cluster.
    """
    if topology is None:
        tell_of_nobody(troubles, configuration, reports)
        return
    troubles.over(CLUSTER, f"cluster {topology.cluster!r} answers")
    for node in topology.ids:
        _tell_of_node(troubles, node, reports)
    _tell_of_mode(troubles, configuration, topology)


def tell_of_nobody(troubles: Troubles, configuration: Configuration, reports: Reports) -> None:
    """Say what each address answered where no member of the cluster is among them."""
    answers = answers_of(reports, configuration.cluster)
    cause = ", ".join(f"{node} {kind_of(answer)}" for node, answer in sorted(answers.items()))
    error = no_member_error(configuration.cluster, reports)
    text = (
        f"{configuration.origin}: {error}; nothing can be done until one does, and it is tried "
        "again all the time"
    )
    troubles.note(CLUSTER, cause, text)


def _tell_of_node(troubles: Troubles, node: str, reports: Reports) -> None:
    subject = f"node {node}"
    if node in reports.present:
        troubles.over(subject, f"node {node!r} answers again")
        return
    reason = reports.reason(node, "its address is not known")
    advice = advice_on({node: reason})
    what_to_do = f". What to do: {advice}" if advice else ""
    troubles.note(subject, kind_of(reason), f"node {node!r} gives no answer: {reason}{what_to_do}")


def _tell_of_mode(troubles: Troubles, configuration: Configuration, topology: Topology) -> None:
    if configuration.mode is topology.mode:
        troubles.over(MODE, "the mode in the configuration is the cluster's")
        return
    wrong, right = configuration.mode.value, topology.mode.value
    troubles.note(
        MODE,
        wrong,
        f'{configuration.origin} says mode = "{wrong}", but cluster {topology.cluster!r} was made '
        f'with "{right}", '
        "which is what counts; correct the file",
    )


def note_queue(troubles: Troubles, queue_url: str, error: Exception | None) -> None:
    """Say what is wrong with the queue's Redis, or that it takes jobs again."""
    where = address(split_url("queue", queue_url))
    if error is None:
        troubles.over(QUEUE, f"the queue on {where} works again")
        return
    text = describe_queue_error(queue_url, error)
    is_away = isinstance(error, (ConnectionError, TimeoutError, OSError))
    cause = "away" if is_away else without_numbers(text)
    troubles.note(
        QUEUE,
        cause,
        f"the queue on {where} cannot be used ({text}); the tick does the work until it can",
    )
