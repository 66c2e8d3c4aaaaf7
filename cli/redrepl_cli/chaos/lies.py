"""A fault of what a node tells: whoever may write on one server can forge its bookkeeping."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from redrepl.values.keys import KeyLayout
from redrepl.values.limits import MAX_EPOCH
from redrepl.values.member_state import MemberState
from redrepl_cli.chaos.scene import Scene, meanwhile
from redrepl_cli.chaos.stage import CLUSTER

PAUSE_SECONDS = 0.5
"""From one lie to the next: workers may mend it in between."""


@contextmanager
def lies(scene: Scene) -> Iterator[None]:
    """The node says, in turns, that it is the only member, that it works in the last epoch there
    is, and nonsense.
    """
    scene.begins()
    with meanwhile(lambda over: _tell_lies(scene, over)):
        yield


def _tell_lies(scene: Scene, over: threading.Event) -> None:
    layout, turn = KeyLayout(CLUSTER), 0
    with redis.Redis.from_url(scene.server.url, protocol=2) as client:
        while not over.wait(PAUSE_SECONDS):
            told = client.hget(layout.topology.decode(), "topology")
            if not client.exists(layout.member) or told is None:
                continue  # it is being filled anew
            turn += 1
            if turn % 3 == 0:
                client.hset(layout.member.decode(), "epoch", "x")
            elif turn % 3 == 1:
                _claim_all(client, layout, scene.node, json.loads(told))
            else:
                client.hset(layout.member.decode(), "epoch", str(MAX_EPOCH))


def _claim_all(client: redis.Redis, layout: KeyLayout, node: str, told: dict[str, object]) -> None:
    members = told["members"]
    assert isinstance(members, list)
    epoch = int(str(told["epoch"])) + 1
    alone = [{**member, "role": "primary"} for member in members if member["id"] == node]
    client.hset(
        layout.topology.decode(), "topology", json.dumps({**told, "epoch": epoch, "members": alone})
    )
    fields = {
        "epoch": str(epoch),
        "lineage": str(epoch),
        "state": MemberState.ACTIVE,
        "rule": "decide",
    }
    for field, value in fields.items():
        client.hset(layout.member.decode(), field, value)
    client.set(layout.guard, f"{epoch} active")
