"""Bugs in configuration, clocks, files, logins and the queue."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a lock that an interruption left locked stays so",
        place="BlockingDriver.run",
        old="give_back_all()",
        new="pass",
        killer="tests/unit/test_interruptions.py::"
        "test_a_lock_that_an_interruption_left_locked_is_given_back_where_the_call_ends",
        evidence="AssertionError",
    ),
    Mutant(
        name="a wrong variable is blamed on the file",
        place="load_configuration",
        old="str(file) if named is None else f'environment variable {named}'",
        new="str(file)",
        killer="tests/unit/test_configuration.py::test_mistakes_in_the_environment_are_named",
        evidence="the file is not to blame",
    ),
    Mutant(
        name="clocks may differ by more than a dropped record is kept for",
        place="configuration._check",
        old="configuration.max_skew_seconds >= configuration.max_age_seconds",
        new=NEVER,
        killer="tests/unit/test_configuration.py",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="an address that leads nowhere from here tells nothing of another",
        place="endpoints_of",
        old="here if is_elsewhere else None",
        new="None",
        killer="tests/unit/test_identity.py::"
        "test_where_the_cluster_has_a_member_at_another_address_a_failure_names_connect_url",
        evidence="set connect_url",
    ),
    Mutant(
        name="what the queue answers has no bound",
        place="BoundedSocket._count",
        old="self._left < 0",
        new=NEVER,
        killer="tests/servers/test_queue_connection.py::"
        "test_an_answer_without_end_ends_the_connection",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="the queue must know HELLO",
        place="queue_connection.queue_connection",
        old="protocol=2",
        new="protocol=3",
        killer="tests/servers/test_queue_connection.py::test_a_queue_that_knows_no_hello_serves",
        evidence="Error",
    ),
    Mutant(
        name="a wait for the queue is ended by closing another thread's connection",
        place="queue_connection.interrupt",
        old="queue.connection_pool.connection_class.open_sockets.interrupt",
        new="queue.connection_pool.disconnect",
        killer="tests/servers/test_queue_connection.py::"
        "test_an_interrupted_socket_stays_open_for_its_owner_to_close",
        evidence="TimeoutError",
    ),
    Mutant(
        name="workers with a key run unsigned jobs",
        place="JobQueue.take",
        old="self._key and job.cluster == cluster",
        new=NEVER,
        killer="tests/servers/test_forged_jobs.py::"
        "test_with_a_key_unsigned_jobs_are_refused_and_signed_ones_run",
        evidence="not met within",
    ),
    Mutant(
        name="RQ keeps every connection that enqueued",
        place="_enqueue_as",
        old="getattr(scripts, '_registered_scripts', {}).pop(...)",
        new="pass",
        killer="tests/servers/test_queue_connection.py::"
        "test_a_queue_that_is_dropped_leaves_nothing_open",
        evidence="assert ",
    ),
    Mutant(
        name="the rule for restarts in the middle of a plan refuses no node",
        place="RestartGuard.refusal",
        old="None if self._answered_in.get(...) == run_id else RESTARTED",
        new="None",
        killer="tests/simulation/test_programs.py",
        evidence="test_upkeep_does_not_go_on_with_a_node_that_restarted_in_the_middle_of_a_plan",
        quick=True,
    ),
    Mutant(
        name="a write of a group leaves although its task was cancelled",
        place="_Group.leave",
        old="not entry[1].done()",
        new=REMOVED,
        killer="tests/simulation/test_write_groups.py::"
        "test_a_write_whose_task_was_cancelled_before_it_left_is_not_sent",
        evidence="AssertionError",
    ),
    Mutant(
        name="upkeep goes on with a node that restarted in between",
        place="BlockingDriver.own_channel",
        old="RestartGuard() if self._admission.purpose is Purpose.MAINTAIN else None",
        new="None",
        killer="tests/servers/test_connections.py::"
        "test_upkeep_does_not_go_on_with_a_node_that_restarted_in_between",
        evidence="restarted meanwhile",
    ),
    Mutant(
        name="the file's address goes before the cluster's",
        place="endpoints_of",
        old="url=member.url",
        new=REMOVED,
        killer="tests/unit/test_identity.py::"
        "test_members_are_reached_where_the_topology_says_or_where_the_file_overrides_that",
        evidence="assert ",
    ),
    Mutant(
        name="a handler that writes waits for its own thread",
        place="StampClock._renew_lock",
        old="self._lock._is_owned",
        new="lambda: False",
        killer="tests/unit/test_interruptions.py::"
        "test_a_handler_that_writes_gets_a_stamp_of_another_writer_and_waits_for_nobody",
        evidence="it waits for itself",
    ),
    Mutant(
        name="a message shows the url that cannot be read",
        place="split_url",
        old="f'node {node!r}: {what} cannot be used: {error}'",
        new="f'node {node!r}: {what} {url!r} cannot be used: {error}'",
        killer="tests/property/test_urls.py::test_messages_do_not_depend_on_what_cannot_be_read",
        evidence="secret",
    ),
    Mutant(
        name="a password's file is read once",
        place="Endpoint.current_password",
        old="self.password_file is None",
        new="self.password is not None",
        killer="tests/servers/test_changed_passwords.py::test_blocking_calls_and_commands_go_on",
        evidence="a write with the new password",
    ),
    Mutant(
        name="a login goes without TLS where the cluster says so",
        place="endpoint._parse",
        old="endpoint.tls_only and not parsed.is_tls",
        new=NEVER,
        killer="tests/unit/test_node_url.py::"
        "test_nothing_is_sent_without_tls_where_the_file_says_tls",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a configuration file is read whatever its size",
        place="read_text",
        old="opened.read(most_bytes + 1)",
        new="opened.read(most_bytes * 2)[:most_bytes]",
        killer="tests/unit/test_reading.py::"
        "test_a_file_with_what_is_huge_or_none_is_refused_in_words",
        evidence="ConfigError",
    ),
    Mutant(
        name="an observer is called where a fact happens",
        place="Dispatcher.put",
        old="self._facts.append",
        new="self._tell",
        killer="tests/unit/test_reporter.py::test_facts_are_told_in_order_by_another_thread",
        evidence="redrepl-observer",
    ),
    Mutant(
        name="an observer that raises ends the telling",
        place="Dispatcher._tell",
        old="except Exception as error: ...",
        new="except LookupError as error: ...",
        killer="tests/unit/test_reporter.py::test_a_handler_that_raises_ends_nothing",
        evidence="assert 1 == 2",
    ),
    Mutant(
        name="facts that wait for an observer have no bound",
        place="Dispatcher.put",
        old="len(self._facts) >= limits.MAX_WAITING_FACTS",
        new=NEVER,
        killer="tests/unit/test_reporter.py::"
        "test_an_observer_that_blocks_holds_nothing_up_and_learns_how_much_it_missed",
        evidence="facts_dropped",
    ),
    Mutant(
        name="an observer is called with the lock held",
        place="Dispatcher._tell_all",
        old="self._tell(fact)",
        new="""
            with self._lock:
                self._tell(fact)
        """,
        killer="tests/unit/test_reporter.py::"
        "test_no_lock_is_held_and_nothing_is_amid_while_an_observer_is_called",
        evidence="assert not",
    ),
    Mutant(
        name="a forked child tells what happened in its parent",
        place="Dispatcher.after_fork",
        old="self._facts.clear()",
        new=REMOVED,
        killer="tests/unit/test_reporter.py::"
        "test_a_forked_child_tells_its_own_facts_and_none_of_its_parents",
        evidence="assert 2 == 0",
    ),
    Mutant(
        name="a handler's fact that comes amid another leaves both untold",
        place="Dispatcher._begin",
        old="thread.start",
        new="self._thread.start",
        killer="tests/unit/test_reporter.py::"
        "test_a_handler_that_notes_a_fact_while_one_is_noted_loses_none",
        evidence="not met within",
    ),
)
