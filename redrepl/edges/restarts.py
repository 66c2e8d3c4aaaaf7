"""What upkeep does where a server restarts in the middle of a plan: the rule of all drivers,
without any I/O.
"""

from __future__ import annotations

RESTARTED = "restarted meanwhile: what it held a moment ago may be gone"


class RestartGuard:
    """Remembers in which run of its server each node answered the plan that is under way.

    Plans of upkeep conclude from what a node said before what it holds now: a mark moves on over
    records that the node was asked about a moment ago. A node that has answered and restarted since
    may have lost these, so it is not used for the rest of the plan. Clients need no guard: a server
    that restarted admits none of them before it is recovered.
    """

    __slots__ = ("_answered_in",)

    def __init__(self) -> None:
        self._answered_in: dict[str, str] = {}

    def begin_plan(self) -> None:
        """Forget what the plan before was told: the next one concludes nothing from that."""
        self._answered_in.clear()

    def note_reply(self, node: str, run_id: str) -> None:
        """A node answered the plan, in this run of its server.

        The first such run is the one that counts.
        """
        self._answered_in.setdefault(node, run_id)

    def refusal(self, node: str, run_id: str) -> str | None:
        """Why a connection to this run of a node's server is not to be used by the plan, None where
        it may be.
        """
        return None if self._answered_in.get(node, run_id) == run_id else RESTARTED
