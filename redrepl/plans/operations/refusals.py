"""Nodes that a read at ONE met and that do not serve in the caller's epoch, and what that means for
the read.
"""

from __future__ import annotations

from collections.abc import Mapping

from redrepl.plans.view import ClusterView, EpochMoved, Refused
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.member_state import MemberState


class Refusals:
    """Those of one read.

    Another copy may answer it; where none does, they tell whether the topology is an old one.
    """

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._kind: type[RedreplError] = Unavailable

    def reason(self, node: str, guard: bytes | None) -> str | None:
        """Why a node with this guard is not to be read from, None where it is.

        Raises EpochMoved where it serves in a later epoch: then no other copy of this one must
        answer either. A member that was only fenced for a later epoch does not prove that anybody
        serves in it.
        """
        view = self._view
        if guard == view.serving:
            return None
        try:
            view.check_serving(guard, node)
        except EpochMoved as moved:
            epoch, _, state = (guard or b"").partition(b" ")
            if int(epoch) > view.topology.epoch:
                if MemberState.parse(state).serves:
                    raise
                self._kind = EpochMoved
            elif self._kind is Unavailable:
                self._kind = Refused
            return moved.message
        except Refused as refused:
            if self._kind is Unavailable:
                self._kind = Refused
            return refused.message
        return None

    def error(self, text: str, failures: Mapping[str, str]) -> RedreplError:
        """What a read ends with that nobody answered."""
        return self._kind(text, failures)
