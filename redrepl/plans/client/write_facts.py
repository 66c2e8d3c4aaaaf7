"""What an observer is told of writes whose first attempt did not end in a commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redrepl.observe import Observer
from redrepl.plans.client.environment import Reporter
from redrepl.plans.operations.chunk import Chunk
from redrepl.values.reasons import shown_reason
from redrepl.values.receipt import Outcome, WriteReceipt

_NO_REASON = "the primary is in a later epoch"


class WriteFacts:
    """Notes facts about writes of one chunk; ``places``: which of them. Where there are none,
    nothing is noted.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def in_doubt(self, chunk: Chunk, places: Sequence[int], why: str) -> None:
        """These are followed up from now on. ``why``: what the primary's attempt ended with, ""
        where it is elsewhere.
        """
        if places:
            keys, stamp = _keys(chunk, places), str(chunk.stamps[places[0]])
            why = shown_reason(why) or _NO_REASON
            self._reporter.note(
                Observer.write_in_doubt,
                node=chunk.order.home,
                keys=keys,
                stamp=stamp,
                why=why,
            )

    def looked_up(self, chunk: Chunk, places: Sequence[int], node: str) -> None:
        """This primary is asked what became of these."""
        if places:
            keys, stamp = _keys(chunk, places), str(chunk.stamps[places[0]])
            self._reporter.note(Observer.write_looked_up, node=node, keys=keys, stamp=stamp)

    def sent_again(self, chunk: Chunk, places: Sequence[int], node: str) -> None:
        """These are sent to this primary once more."""
        if places:
            keys, stamp = _keys(chunk, places), str(chunk.stamps[places[0]])
            self._reporter.note(Observer.write_sent_again, node=node, keys=keys, stamp=stamp)

    def resolved(
        self,
        chunk: Chunk,
        places: Sequence[int],
        receipts: Sequence[WriteReceipt],
    ) -> None:
        """No more will become known of these. ``receipts``: of all writes of the chunk."""
        if not places:
            return  # nearly always
        for outcome in Outcome:
            ended = [place for place in places if receipts[place].outcome is outcome]
            if ended:
                keys, receipt = _keys(chunk, ended), receipts[ended[0]]
                why = "" if outcome is Outcome.COMMITTED else _reasons(receipt.failed)
                stamp = str(receipt.stamp)
                self._reporter.note(
                    Observer.write_resolved,
                    keys=keys,
                    stamp=stamp,
                    outcome=outcome,
                    why=why,
                )


def _keys(chunk: Chunk, places: Sequence[int]) -> tuple[str | bytes, ...]:
    return tuple(chunk.user_keys[place] for place in places)


def _reasons(failed: Mapping[str, str]) -> str:
    return ", ".join(f"{node}: {shown_reason(why)}" for node, why in failed.items())
