"""One primary, two replicas: a replica and then the primary die during writes, and the worker sees
to both.
"""

from __future__ import annotations

import time
from typing import Any

from redrepl import Coordinator, NodeState, ReplicatedCache
from redrepl_cli.demo.narrator import Narrator
from redrepl_cli.demo.stage import TICK_SECONDS, Stage, everything_arrived
from redrepl_cli.demo.workload import (
    SHORT_SESSIONS,
    Ledger,
    Traffic,
    library_files,
    load,
    open_sessions,
)

PRIMARY = "a"
VICTIM = "c"
OUTAGE_SECONDS = 3.0
_LOOKS = 3


def run(stage: Stage, narrator: Narrator) -> dict[str, Any]:
    """The whole story; answers what `demo --format json` prints."""
    ledger, documents = Ledger(), library_files()
    with Coordinator[str, bytes](stage.configuration) as coordinator:
        cache = ReplicatedCache(coordinator, namespace="sessions")
        sessions = _fill(stage, narrator, coordinator, cache, ledger, documents)
        traffic = Traffic(coordinator, ledger, documents)
        traffic.start()
        during = _kill(stage, narrator, ledger)
        back = _bring_back(stage, narrator)
        over = _kill_primary(stage, narrator, ledger)
        traffic.stop()
        narrator.headline("The traffic stops, and everything is compared")
        stage.wait_for("everything caught up", everything_arrived)
        return _judge(
            stage,
            narrator,
            coordinator,
            cache,
            ledger,
            {**during, **back, **over, "sessions": sessions},
        )


def _fill(
    stage: Stage,
    narrator: Narrator,
    coordinator: Coordinator[str, bytes],
    cache: ReplicatedCache,
    ledger: Ledger,
    documents: dict[str, bytes],
) -> int:
    narrator.headline(f"Three servers ({stage.engine}), a queue and a worker process")
    stage.start_worker()
    narrator.say(
        f"a: primary, b and c: replicas; level {coordinator.configuration.level}: a write counts "
        "once 2 of 3 have it"
    )
    size = sum(map(len, documents.values()))
    started = time.monotonic()
    load(coordinator, ledger, documents)
    seconds = time.monotonic() - started
    narrator.say(
        f"{len(documents)} files of Python's standard library stored ({size / 1e6:.1f} MB in "
        f"{seconds:.2f} s)"
    )
    sessions = open_sessions(cache)
    narrator.say(f"{sessions} sessions cached as JSON, {SHORT_SESSIONS} of them for 2 seconds only")
    return sessions


def _kill(stage: Stage, narrator: Narrator, ledger: Ledger) -> dict[str, Any]:
    narrator.headline(f"kill -9 of replica {VICTIM} while a client writes")
    _wait_for_writes(ledger, 200)
    before, ledger.slowest_seconds = ledger.writes, 0.0
    stage.servers[VICTIM].kill()
    narrator.say(f"{VICTIM} is dead, {before} writes acknowledged so far")
    for _ in range(_LOOKS):
        time.sleep(OUTAGE_SECONDS / _LOOKS)
        status = stage.administration.status(look_at_keys=False)
        lag = next(node.lag_entries for node in status.nodes if node.id == VICTIM)
        narrator.say(
            f"{status.condition.value}: {ledger.writes - before} more writes acknowledged, slowest "
            f"{ledger.slowest_seconds * 1000:.1f} ms; {lag} log entries wait for {VICTIM}"
        )
    return {
        "writes_acked_during_outage": ledger.writes - before,
        "slowest_write_seconds_during_outage": round(ledger.slowest_seconds, 4),
    }


def _kill_primary(stage: Stage, narrator: Narrator, ledger: Ledger) -> dict[str, Any]:
    narrator.headline(f"kill -9 of primary {PRIMARY} while the client writes")
    before, ledger.slowest_seconds = ledger.writes, 0.0
    stage.servers[PRIMARY].kill()
    status, _ = stage.wait_for("another primary", lambda status: status.primary != PRIMARY)
    _wait_for_writes(ledger, 200)
    waited, successor = ledger.slowest_seconds, status.primary
    narrator.say(
        f"{successor} took over; the slowest write took {waited:.2f} s, {ledger.writes - before} "
        "came through"
    )
    stage.servers[PRIMARY].start()
    stage.wait_for(
        f"{PRIMARY} admitted again", lambda status: _state(status, PRIMARY) is NodeState.ACTIVE
    )
    narrator.say(f"{PRIMARY} is back, as a replica of {successor}")
    return {
        "primary_after_failover": successor,
        "slowest_write_seconds_during_failover": round(waited, 4),
        "writes_failed": ledger.unknown + ledger.rejected,
    }


def _wait_for_writes(ledger: Ledger, count: int) -> None:
    goal, give_up_at = ledger.writes + count, time.monotonic() + 10.0
    while ledger.writes < goal and time.monotonic() < give_up_at:
        time.sleep(0.01)


def _bring_back(stage: Stage, narrator: Narrator) -> dict[str, Any]:
    narrator.headline(f"Replica {VICTIM} returns, with nothing on it")
    stage.servers[VICTIM].restart(empty=True)
    _, noticed = stage.wait_for(
        f"{VICTIM} noticed", lambda status: _state(status, VICTIM) is not NodeState.INACTIVE
    )
    _, copied = stage.wait_for(
        f"{VICTIM} admitted again", lambda status: _state(status, VICTIM) is NodeState.ACTIVE
    )
    counted = stage.administration.status()
    keys = next(node.keys for node in counted.nodes if node.id == VICTIM) or 0
    narrator.say(
        f"refused by the guard until the worker noticed it, after {noticed:.2f} s (it looks every "
        f"{TICK_SECONDS} s)"
    )
    narrator.say(
        f"filled and admitted again {copied:.2f} s later: {keys} keys, {keys / copied:,.0f} "
        "keys/s beside the writes"
    )
    return {
        "noticed_seconds": round(noticed, 3),
        "catch_up_seconds": round(copied, 3),
        "catch_up_keys": keys,
        "catch_up_keys_per_second": round(keys / copied),
    }


def _state(status: Any, node: str) -> NodeState:
    found: NodeState = next(n.state for n in status.nodes if n.id == node)
    return found


def _judge(
    stage: Stage,
    narrator: Narrator,
    coordinator: Coordinator[str, bytes],
    cache: ReplicatedCache,
    ledger: Ledger,
    figures: dict[str, Any],
) -> dict[str, Any]:
    found = coordinator.get_many(ledger.acked, level="quorum")
    lost = ledger.lost(found)
    short = cache.get_many([f"short-{n}" for n in range(SHORT_SESSIONS)])
    report = stage.administration.verify()
    narrator.verdict(
        not lost,
        f"{ledger.writes} acknowledged writes on {len(ledger.acked)} keys: {len(lost)} lost",
    )
    narrator.verdict(
        figures["writes_failed"] == 0, f"{figures['writes_failed']} writes failed or uncertain"
    )
    narrator.verdict(
        not short, f"{len(short)} of {SHORT_SESSIONS} short sessions outlived their time"
    )
    narrator.verdict(
        report.consistent,
        f"{report.keys_checked} records compared on every copy: {len(report.mismatches)} differ",
    )
    return {
        "schema_version": 1,
        "mode": stage.mode.value,
        "writes_acked": ledger.writes,
        "acked_writes_lost": len(lost),
        "converged": report.consistent,
        "expired_keys_alive": len(short),
        "keys_checked": report.keys_checked,
        **figures,
        "seconds": round(narrator.elapsed_seconds, 2),
    }
