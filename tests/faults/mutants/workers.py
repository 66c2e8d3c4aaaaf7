"""Bugs in the workers, the monitor and the tick."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a monitor waits although a crash is proved",
        place="Monitor._waits",
        old="if verdict.is_proved: ...",
        new=REMOVED,
        killer="tests/unit/test_monitor.py::test_where_a_crash_is_proved_it_never_waits_longer",
        evidence="assert ",
    ),
    Mutant(
        name="a monitor says at every look why it is blocked",
        place="Troubles.note",
        old="said_at is not None and now - said_at < (QUIET_SECONDS if is_new else REPEAT_SECONDS)",
        new="said_at is None and now < (QUIET_SECONDS if is_new else REPEAT_SECONDS)",
        killer="tests/unit/test_monitor.py::test_a_blocked_takeover_is_said_once_in_an_outage",
        evidence="assert ",
    ),
    Mutant(
        name="a foreign cluster's job goes round",
        place="QueueWorker._hand_on",
        old="queue.move(job_id, name)",
        new="queue.move(job_id, queue.name)",
        killer="tests/servers/test_saying_why.py::test_a_foreign_clusters_job_is_handed_on",
        evidence="both are handed on",
    ),
    Mutant(
        name="a job of another kind ends the worker's loop",
        place="QueueWorker._handle",
        old="""
            except JobRefused as refused:
                self._refuse(...)
                job = None
        """,
        new="""
            except JobRefused:
                raise SystemExit from None
        """,
        killer="tests/servers/test_forged_jobs.py::"
        "test_no_forged_job_runs_anything_or_ends_the_worker",
        evidence="not met within",
    ),
    Mutant(
        name="a queue that takes each job is believed to have it done",
        place="Ticker._see_to",
        old="TAKEN_TICKS if is_queued else PATIENCE_TICKS",
        new="10 ** 9 if is_queued else PATIENCE_TICKS",
        killer="tests/servers/test_queue_loss.py::"
        "test_where_each_job_is_taken_and_none_is_done_the_tick_does_the_work",
        evidence="nothing left to bring up",
    ),
    Mutant(
        name="the tick waits for the queue",
        place="Hints.offer",
        old="""
            if self._thread is None:
                self._offer_all()
        """,
        new="self._offer_all()",
        killer="tests/unit/test_hints.py::test_a_queue_that_is_silent_holds_no_tick_up",
        evidence="assert ",
    ),
    Mutant(
        name="a lease is respected for ever",
        place="Holders.is_respected",
        old="now - held.since < RESPECT_SECONDS and now - held.token_since < ONE_JOB_SECONDS",
        new=ALWAYS,
        killer="tests/servers/test_forged_jobs.py::"
        "test_a_lease_that_is_held_for_ever_stops_no_upkeep",
        evidence="nothing left to bring up",
    ),
    Mutant(
        name="a worker that is to stop waits for the queue",
        place="QueueWorker.stop",
        old="not self._is_working",
        new=NEVER,
        killer="tests/servers/test_queue_in_trouble.py::"
        "test_a_worker_that_waits_for_the_queue_ends_when_it_is_told_to",
        evidence="TimeoutExpired",
    ),
    Mutant(
        name="a name that a killed worker left behind locks its successor out",
        place="free_name",
        old="other = f'{name}-{secrets.token_hex(...)}'",
        new="raise ValueError('There exists an active worker already')",
        killer="tests/servers/test_queue_loss.py::"
        "test_a_worker_starts_under_the_name_of_one_that_was_killed",
        evidence="it is registered too",
    ),
    Mutant(
        name="the tick leaves all work to the queue",
        place="Ticker._see_to",
        old="self._hints.is_away or self._lacking[name] >= patience",
        new=NEVER,
        killer="tests/servers/test_queue_loss.py::test_without_the_queue_the_tick_does_it_all",
        evidence="not met within",
    ),
    Mutant(
        name="a monitor does not say what it saw",
        place="Monitor._fail_over",
        old="seen_epoch=seen_epoch",
        new=REMOVED,
        killer="tests/unit/test_monitor.py::test_where_a_crash_is_proved_it_never_waits_longer",
        evidence="assert ",
    ),
    Mutant(
        name="monitors of a far cluster replace the primary that they just made",
        place="Monitor.look",
        old="if not seen.is_current: ...",
        new=REMOVED,
        killer="tests/unit/test_monitor.py::"
        "test_looks_that_are_from_before_its_own_attempt_are_not_judged",
        evidence="assert ",
    ),
    Mutant(
        name="a worker does not compare its file with the cluster",
        place="ConfigurationCheck.look",
        old="found = administration.contradictions(...)",
        new="found: dict[str, str] = {}",
        killer="tests/servers/test_identity.py::"
        "test_status_and_workers_name_a_dead_address_in_the_file",
        evidence="worker and monitor name it: not met",
    ),
    Mutant(
        name="what a queue that never answers did not take is not done",
        place="Ticker._see_to",
        old="self._hints.is_away or self._lacking[name] >= patience",
        new="is_queued and self._lacking[name] >= patience",
        killer="tests/servers/test_queue_in_trouble.py::"
        "test_a_worker_whose_queue_is_a_black_hole_replaces_a_primary_and_fills_it",
        evidence="a active: not met within",
    ),
    Mutant(
        name="a tick goes on when the queue has taken its job",
        place="Ticker._see_to",
        old="is_queued = self._hints.offer(name, enqueue)",
        new="""
            while not (is_queued := self._hints.offer(name, enqueue)) and not self._stop.wait(0.1):
                pass
        """,
        killer="tests/servers/test_queue_in_trouble.py::"
        "test_a_queue_that_becomes_a_black_hole_stops_no_worker",
        evidence="a active: not met within",
    ),
)
