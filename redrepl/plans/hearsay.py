"""Whom to believe where members tell different topologies and epochs: a majority, and no single
node that lies.

A change of epoch leaves traces that one node alone cannot make (docs/protocol.md, section 5.8):
whoever begins one has moved a majority of the members before, or the primary. So what a node tells
is measured by the members of the topology that it would replace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from redrepl.values import limits
from redrepl.values.topology import Topology

LEFT_OVER_EPOCHS = 10
"""Changes of epoch that died one after the other may leave a member so far ahead of all others."""

PLAUSIBLE_EPOCHS = 10 * limits.SKIPPED_EPOCHS
"""No member is further ahead of all others: an operator who accepts losses skips SKIPPED_EPOCHS at
a time.
"""


_LEAST_SKIPPED = limits.SKIPPED_EPOCHS // 2
"""What is left of these where the others went on out of sight meanwhile."""


class Voice(NamedTuple):
    """What one member says of itself, and the topology that it tells (None: none that can be its
    own).

    has_restarted: it may have lost what it was told.
    """

    node: str
    identity: str
    epoch: int
    is_serving: bool
    topology: Topology | None
    has_restarted: bool = False


def believed(voices: Collection[Voice], known: Topology | None = None) -> Topology | None:
    """The newest topology that is told and that no other one refutes.

    ``known``: one that the caller had before.

    Of two clusters of one name, the one which more nodes tell; the caller counts as one, and
    decides a tie. An epoch has one topology: of two, neither where nothing speaks for one rather
    than the other. Its addresses are those that most tell.
    """
    told = [voice.topology for voice in voices if voice.topology is not None]
    told += [] if known is None else [known]
    newest_first = sorted(told, key=lambda topology: topology.epoch, reverse=True)
    if newest_first and not all(newest_first[0].is_related_to(other) for other in told):
        newest_first = max(
            _clusters_of(told),
            key=lambda cluster: (len(cluster), known in cluster, cluster[0].epoch),
        )
    for topology in newest_first:
        if _is_outdone(topology, newest_first, voices, known) or _is_news_to_its_primary(
            topology, voices
        ):
            continue
        if any(_is_refuted(topology, other, newest_first, voices) for other in newest_first):
            continue
        more = _told_of_another_kind(topology, newest_first)
        if more == 0:
            return known
        if more < 0:
            return _at_usual_addresses(topology, told, known)
    return known


def not_believed(voices: Mapping[str, Voice], known: Topology | None = None) -> dict[str, str]:
    """Those of these whose epoch or topology cannot be true, and why."""
    found = {}
    told = [voice.topology for voice in voices.values() if voice.topology is not None]
    told += [] if known is None else [known]
    for name, voice in voices.items():
        others = [other.epoch for other in voices.values() if other is not voice]
        if others and voice.epoch > max(others) + PLAUSIBLE_EPOCHS:
            found[name] = (
                f"says that it is in epoch {voice.epoch}, and all others are in {max(others)} at "
                "most"
            )
    for topology in told:
        serving = _at_work(topology, voices.values())
        for name, voice in voices.items():
            # The earlier one may be made up as well, by a member that says that it serves there
            # alone.
            beside = [
                each
                for each in voices.values()
                if each.epoch >= voice.epoch and each.node not in serving
            ]
            if len(serving) <= len(beside):
                continue
            told_by = voice.topology
            own = told_by.epoch if told_by is not None else 0
            if told_by is not None and _is_accepted_loss(told_by, topology, told, voices.values()):
                continue
            if own > topology.epoch or voice.epoch > topology.epoch + LEFT_OVER_EPOCHS:
                newest, served = max(own, voice.epoch), topology.epoch
                found[name] = (
                    f"tells of epoch {newest}, while a majority and its primary serve in epoch "
                    f"{served}"
                )
    return found


def cannot_follow(told: Topology, known: Topology, voices: Collection[Voice]) -> bool:
    """Whether nobody can have begun this one after the one that the caller knows, whoever serves or
    does not.
    """
    return _takes_two_steps(told, known) or _is_news_to_its_primary(told, voices)


def may_follow(told: Topology, known: Topology, voices: Collection[Voice]) -> bool:
    """Whether a client may go from the topology that it knows to this one.

    With the same members a single one that lies confirms nothing alone, as long as the others work
    in an earlier epoch. With others it could, so these must have been begun by the primary, or by
    as many members as that takes.
    """
    if told.mode is not known.mode:
        return False
    if told.epoch <= known.epoch or told.identities == known.identities:
        return True
    if _is_accepted_loss(told, known, [known], voices):
        return True
    members = [voice for voice in voices if known.identities.get(voice.node) == voice.identity]
    moved = {voice.node for voice in members if voice.epoch >= told.epoch}
    return (
        known.decider is None
        or known.decider in moved
        or len(moved) >= len(known.ids) - len(known.ids) // 2
    )


def in_later_epochs(topology: Topology, voices: Iterable[Voice]) -> dict[str, int]:
    """Who serves in an epoch after this topology's, or tells one, and the epoch.

    Who was only fenced does not count.

    Who bears a member's name and is another server is listed by what it is: the member itself may
    have stayed.
    """
    newest: dict[str, int] = {}
    for voice in voices:
        is_member = topology.identities.get(voice.node) == voice.identity
        name = voice.node if is_member else f"{voice.node} ({voice.identity})"
        told = voice.topology.epoch if voice.topology is not None else 0
        newest[name] = max(newest.get(name, 0), told, voice.epoch if voice.is_serving else 0)
    return {node: epoch for node, epoch in newest.items() if epoch > topology.epoch}


def may_be_over(topology: Topology, voices: Collection[Voice], served: Mapping[str, int]) -> bool:
    """Whether the one primary of this topology may have been replaced for all that is known:
    somebody is in a later epoch, and so few say that they have stayed that the silent ones would
    make a majority with those that left.

    served: the last epochs in which members served, as those say that cannot be used now, and so
    are no voices.
    """
    later = in_later_epochs(topology, voices)
    later |= {node: epoch for node, epoch in served.items() if epoch > topology.epoch}
    if topology.decider is None or not later:
        return False
    stayed = {
        voice.node for voice in voices if topology.identities.get(voice.node) == voice.identity
    } - later.keys()
    return len(topology.ids) - len(stayed) > len(topology.ids) // 2


def _at_usual_addresses(
    topology: Topology, told: Collection[Topology], known: Topology | None
) -> Topology:
    """The topology with the address of each server that most tell; of two that equally many tell,
    the caller's.

    A server keeps its address: who gives a place to another one, or moves it, draws a new identity.
    So one member that tells a true epoch with other addresses must not have them enter the next
    one, in which all would tell them.
    """
    usual = {}
    for member in topology.members:
        urls = Counter(
            other.url
            for each in told
            for other in each.members
            if member.identity and (other.id, other.identity) == (member.id, member.identity)
        )
        own = known.member(member.id) if known is not None and member.id in known.ids else member
        if not urls:
            continue  # of a cluster that was made before servers had identities
        if max(urls.values()) > urls[member.url]:
            usual[member.id] = max(urls, key=lambda url: urls[url])
        elif own.identity == member.identity and urls[own.url] == urls[member.url]:
            usual[member.id] = own.url
    members = tuple(replace(each, url=usual.get(each.id, each.url)) for each in topology.members)
    is_possible = len({each.url for each in members}) == len(members)
    return (
        replace(topology, members=members)
        if is_possible and members != topology.members
        else topology
    )


def _is_outdone(
    topology: Topology,
    told: Collection[Topology],
    voices: Collection[Voice],
    known: Topology | None,
) -> bool:
    """Whether as much speaks for another topology of the same epoch, which only somebody who lies
    can tell.
    """
    others = [other for other in told if other.epoch == topology.epoch and other != topology]
    own = _weight(topology, voices, known) if others else (False, 0, False, False)
    return any(_weight(other, voices, known) >= own for other in others)


def _weight(
    topology: Topology, voices: Collection[Voice], known: Topology | None
) -> tuple[bool, int, bool, bool]:
    """What speaks for a topology among those of its epoch: a majority, though never of one alone,
    how many tell it, that it was known before, and that its primary tells no other one.

    That its primary tells it says no more: whoever makes one up can name itself, while the true
    primary is dead.
    """
    members = {voice for voice in voices if topology.identities.get(voice.node) == voice.identity}
    tellers = {(voice.node, voice.identity) for voice in voices if voice.topology == topology}
    its_own = {voice.node for voice in members if voice.topology == topology}
    others = {voice.node for voice in members if voice.topology is not None} - its_own
    is_known = topology == known
    is_majority = len(its_own) > len(topology.ids) // 2 and len(tellers) > 1
    return is_majority, len(tellers) + is_known, is_known, topology.decider not in others


def _is_news_to_its_primary(told: Topology, voices: Collection[Voice]) -> bool:
    """Whether the primary that it names says that it was never told it, and one member at most
    tells it.

    An epoch begins with its primary, which is told before anybody else is.
    """
    if told.decider is None or sum(voice.topology == told for voice in voices) > 1:
        return False
    identity = told.identities[told.decider]
    return any(
        voice.node == told.decider
        and voice.identity == identity
        and not voice.has_restarted
        and voice.topology is not None
        and voice.topology.epoch < told.epoch
        for voice in voices
    )


def _told_of_another_kind(told: Topology, heard: Sequence[Topology]) -> int:
    """How many more tell a topology of the other kind than of its own, an earlier one among them;
    below 0 for fewer.

    A cluster has one primary or several for good, so that one of the two is made up. The number
    alone tells which.
    """
    others = [topology for topology in heard if topology.mode is not told.mode]
    if all(topology.epoch >= told.epoch for topology in others):
        return -1
    return 2 * len(others) - len(heard)


def _is_refuted(
    told: Topology, former: Topology, heard: Sequence[Topology], voices: Collection[Voice]
) -> bool:
    """Whether members of the topology before show that this one was never begun."""
    if former.epoch >= told.epoch:
        return False
    if _takes_two_steps(told, former) and heard.count(former) > heard.count(told):
        return True
    # Whoever was fenced in the epoch that was made up does not serve in the earlier one, and has
    # not been told this.
    is_alone = heard.count(told) <= 1 and not _is_accepted_loss(told, former, heard, voices)
    if is_alone and _takes_many_along(told, former) and _is_denied(told, former, voices):
        return True
    members = [voice for voice in voices if former.identities.get(voice.node) == voice.identity]
    # Who serves in yet another epoch was left behind by others, too, and shows nothing.
    objecting = {
        voice.node for voice in members if voice.is_serving and voice.epoch == former.epoch
    }
    moved = {voice.node for voice in members if voice.epoch >= told.epoch}
    tellers = [voice for voice in voices if voice.topology == told and voice.node not in objecting]
    # One of an earlier epoch may be made up too: by fewer than tell this one, or without a member
    # that tells it.
    outnumbered = len(objecting) < len(tellers)
    if (
        not objecting
        or outnumbered
        or (len(objecting) == len(tellers) and not all(t in members for t in tellers))
    ):
        return False
    if told.mode is not former.mode and (
        len(objecting) > len(tellers) or not _has_its_primary(told, tellers)
    ):
        return True
    if told.decider in objecting and len(objecting) > len(moved):
        # The very primary that it names serves in an earlier epoch, and so do more than have moved.
        return True
    # A majority moves before anybody is told, so that a second member knows of it. One alone may
    # have made it up. Of whom it names another server in the place it is no wonder that they serve
    # in an earlier one.
    stayed = [
        node for node in objecting if told.identities.get(node, "") in ("", former.identities[node])
    ]
    is_role_moved = former.decider is not None and former.decider not in moved
    if stayed and is_role_moved and len(moved) <= 1 and heard.count(told) <= 1:
        return not _is_accepted_loss(told, former, heard, voices)
    if former.decider is None:  # they move one after the other
        # One further than the numbers that are not given again: it begins beyond these.
        return (
            told.epoch > former.epoch + LEFT_OVER_EPOCHS + 1
            or abs(len(told.ids) - len(former.ids)) > 1
        )
    skipped = told.epoch - former.epoch >= limits.SKIPPED_EPOCHS
    if _is_accepted_loss(told, former, heard, voices) or (skipped and former.decider in moved):
        return False
    # Whoever is silent may have moved. The primary moves with fewer than a majority where that
    # suffices (section 5.2).
    copies = len(former.ids)
    needed = copies // 2 + 1 if former.decider in objecting else copies - copies // 2
    return copies - len(objecting) < needed


def _takes_two_steps(told: Topology, former: Topology) -> bool:
    """Whether an epoch is missing in between: one change moves the role, or changes the members,
    and not both.
    """
    if told.epoch != former.epoch + 1 or told.decider is None:
        return False
    return told.decider != former.decider and told.identities != former.identities


def _is_denied(told: Topology, former: Topology, voices: Iterable[Voice]) -> bool:
    """Whether another member, which has forgotten nothing, tells the one before, and the primary of
    that not this.

    Several primaries move one after the other, so that the first is alone with it, and nobody is
    there to end that.
    """
    if former.decider is None:
        return False
    members = [voice for voice in voices if former.identities.get(voice.node) == voice.identity]
    is_begun = any(voice.node == former.decider and voice.topology == told for voice in members)
    return not is_begun and any(
        voice.topology == former and not voice.has_restarted for voice in members
    )


def _takes_many_along(told: Topology, former: Topology) -> bool:
    """Whether more than one member's place is another's or nobody's, or a server that stays is at
    another address.

    The first has one that made it up be a majority by itself. By the second all members would tell
    that address after a failover, and then programs would send their login there.
    """
    stays = [each for each in told.members if former.identities.get(each.id) == each.identity]
    has_moved = any(each.url != former.member(each.id).url for each in stays)
    return has_moved or len(former.ids) - len(stays) > 1


def _has_its_primary(told: Topology, tellers: Iterable[Voice]) -> bool:
    return any(
        voice.node == told.decider and voice.identity == told.identities.get(voice.node)
        for voice in tellers
    )


def _is_accepted_loss(
    told: Topology, former: Topology, heard: Iterable[Topology], voices: Iterable[Voice]
) -> bool:
    """Whether this is what `accept_loss` makes: an operator may go on from one member whatever the
    others say.

    The primary alone is another server than in any topology before, maybe at another address, and
    nobody else's place has changed but those of members that came back empty. Where it answers it
    says so itself.
    """
    skipped = told.epoch - former.epoch
    if (
        told.decider is None
        or told.ids != former.ids
        or not _LEAST_SKIPPED <= skipped <= PLAUSIBLE_EPOCHS
    ):
        return False
    moved = [each.id for each in told.members if each.url != former.member(each.id).url]
    if not set(moved) <= {told.decider} or told.merged_epoch != told.epoch:
        return False
    identity = told.identities[told.decider]
    if any(
        each.node == told.decider and (each.identity != identity or each.epoch < told.epoch)
        for each in voices
    ):
        return False
    return all(
        each.identities.get(told.decider) != identity for each in heard if each.epoch < told.epoch
    )


def _at_work(topology: Topology, voices: Iterable[Voice]) -> set[str]:
    """The members that serve in this epoch, where a majority does, its primary too: then no later
    one has begun.
    """
    identities = topology.identities
    members = [voice for voice in voices if identities.get(voice.node) == voice.identity]
    serving = {
        voice.node for voice in members if voice.is_serving and voice.epoch == topology.epoch
    }
    return (
        serving if topology.decider in serving and len(serving) > len(topology.ids) // 2 else set()
    )


def _clusters_of(topologies: Iterable[Topology]) -> list[list[Topology]]:
    """The topologies of each cluster, the newest first.

    One whose members were all replaced is still the same cluster: each change leaves some of them,
    so there is a chain of topologies from any to any other, where nobody is away.
    """
    clusters: list[list[Topology]] = []
    for topology in topologies:
        own = [cluster for cluster in clusters if any(map(topology.is_related_to, cluster))]
        clusters = [cluster for cluster in clusters if cluster not in own]
        clusters.append([topology, *(other for cluster in own for other in cluster)])
    return [
        sorted(cluster, key=lambda topology: topology.epoch, reverse=True) for cluster in clusters
    ]
