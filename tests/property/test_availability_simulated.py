"""The availability that is computed against copies that fail and come back by chance, and a role
that moves.
"""

from __future__ import annotations

from random import Random

import pytest

from redrepl.values.availability import Switching, plan_availability

UP_SECONDS, AWAY_SECONDS, SWITCHING_SECONDS = 900.0, 100.0, 5.0
EVENTS = 100_000


def _lost_part(copies: int, seed: int) -> float:
    """Which part of the time no write at QUORUM is possible, counted event by event."""
    random, majority = Random(seed), copies // 2 + 1
    is_up, primary, replaced_at = [True] * copies, 0, 0.0
    due = [random.expovariate(1 / UP_SECONDS) for _ in range(copies)]
    now = lost = 0.0
    for _ in range(EVENTS):
        changing = min(range(copies), key=due.__getitem__)
        if sum(is_up) < majority:
            lost += due[changing] - now
        else:
            lost += max(0.0, min(due[changing], replaced_at) - now)
            if not is_up[primary] and due[changing] >= replaced_at:
                primary = random.choice([copy for copy in range(copies) if is_up[copy]])
        now = due[changing]
        is_up[changing] = not is_up[changing]
        due[changing] = now + random.expovariate(
            1 / (UP_SECONDS if is_up[changing] else AWAY_SECONDS)
        )
        if changing == primary and not is_up[primary] and sum(is_up) >= majority:
            replaced_at = now + SWITCHING_SECONDS
        elif sum(is_up) >= majority and changing == primary:
            replaced_at = now
    return lost / now


@pytest.mark.parametrize("copies", [3, 5])
def test_what_is_computed_is_what_is_counted(copies: int) -> None:
    plan = plan_availability([0.9] * copies, switching=Switching(SWITCHING_SECONDS, AWAY_SECONDS))
    assert 1.0 - plan.quorum_read_availability == pytest.approx(
        _lost_part(copies, seed=1), rel=0.05
    )
