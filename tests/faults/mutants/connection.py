"""Bugs in connections, and in requests and replies on them."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="what a server says before it closes is lost",
        place="_Talk._in_place_of",
        old="self._passed_over = str(error)",
        new=REMOVED,
        killer="tests/unit/test_introduction.py::test_what_a_server_says_before_it_closes_is_told",
        evidence="the node closed the connection",
    ),
    Mutant(
        name="what a server says while it is written to is lost",
        place="_Talk._send",
        old="self._unsent = error",
        new="raise",
        killer="tests/unit/test_introduction.py::test_what_a_server_says_before_it_closes_is_told",
        evidence="BrokenPipeError",
    ),
    Mutant(
        name="whatever a node answers is taken for an answer",
        place="Switchboard.receive",
        old="not is_ours(...)",
        new=NEVER,
        killer="tests/servers/test_lying_nodes.py::test_rubbish_of_one_replica_is_its_own_failure",
        evidence="Error",
    ),
    Mutant(
        name="an answer without end is read for ever",
        place="NodeConnection.receive",
        old="self._unfinished_bytes > limits.MAX_VERDICT_BYTES",
        new=NEVER,
        killer="tests/property/test_answers.py::test_an_answer_without_end_ends_its_connection",
        evidence="DID NOT RAISE",
        quick=True,
    ),
    Mutant(
        name="answers that are none end the plans of workers and programs",
        place="Switchboard.receive",
        old="not is_ours(...)",
        new=NEVER,
        killer="tests/simulation/test_liars.py::test_histories_in_which_one_lies",
        evidence="Error",
    ),
    Mutant(
        name="nobody connects where something else stands in place of a membership",
        place="_Talk._in_place_of",
        old="command[0] == b'HMGET' and str(error).startswith(...)",
        new=NEVER,
        killer="tests/servers/test_lying_nodes.py::"
        "test_a_copy_without_a_readable_membership_is_reached_and_filled_anew",
        evidence="Error",
    ),
    Mutant(
        name="a board that was interrupted is used again",
        place="LoopBoard.enter",
        old="self._is_amid or self.is_given_up",
        new="self.is_given_up",
        killer="tests/servers/test_interrupted_calls.py::"
        "test_a_loop_that_is_interrupted_at_any_line_goes_on_soundly[set]",
        evidence="Error",
    ),
    Mutant(
        name="a program takes any server of a member's name",
        place="Admission.refusal",
        old="identity is not None and (found.identity or '') != identity",
        new=NEVER,
        killer="tests/unit/test_identity.py::"
        "test_a_server_of_the_name_with_another_identity_serves_nobody",
        evidence="AssertionError",
    ),
    Mutant(
        name="a restart is not noticed",
        place="Admission.refusal",
        old="found.run_id != found.actual_run_id",
        new="found.run_id is None",
        killer="tests/servers/test_returning_replica.py::"
        "test_it_does_not_acknowledge_before_it_was_brought_up[come_back_with_older_data]",
        evidence="DID NOT RAISE WriteNotConfirmed",
    ),
    Mutant(
        name="a debt that nobody wants paid is forgotten",
        place="Switchboard.receive",
        old="run, request, sent_at = owed.popleft()",
        new="""
            while len(owed) > 1 and not owed[0][0].is_live:
                owed.popleft()
            run, request, sent_at = owed.popleft()
        """,
        killer="tests/servers/test_asyncio.py::"
        "test_cancelled_and_late_tasks_leave_no_answer_to_others[asyncio]",
        evidence="Error",
    ),
    Mutant(
        name="a lost connection is left to the interpreter's finalizer",
        place="NodeConnection.__init__",
        old="end_with(...)",
        new=REMOVED,
        killer="tests/unit/test_interruptions.py::"
        "test_what_an_interruption_lost_goes_without_a_line_of_python",
        evidence="assert ",
    ),
    Mutant(
        name="what is gone is forgotten by a line of Python",
        place="Living.add",
        old="self._references.discard",
        new="lambda each: self._references.discard(each)",
        killer="tests/unit/test_interruptions.py::"
        "test_what_an_interruption_lost_goes_without_a_line_of_python",
        evidence="assert ['Living.add",
    ),
    Mutant(
        name="an error keeps what was used to open a connection",
        place="open_connection",
        old="""
            reason = describe_error(endpoint, error, waited_seconds)
            let_go_of_frames(error)
        """,
        new="reason = describe_error(endpoint, error, waited_seconds)",
        killer="tests/servers/test_connections.py::"
        "test_what_redis_py_opened_a_connection_with_is_gone_at_once[dead]",
        evidence="nothing is left of opening connections",
    ),
    Mutant(
        name="connections are opened one after the other",
        place="NodeGate._open_more",
        old="self._most_openings()",
        new="1",
        killer="tests/unit/test_opening.py::"
        "test_several_are_opened_at_once_and_no_more_than_may_be",
        evidence="AssertionError",
    ),
    Mutant(
        name="a connection goes to whichever caller comes first and not to the one that waits",
        place="NodeGate._keep",
        old="self._kept[wake] = connection",
        new="self._fresh.append(connection)",
        killer="tests/unit/test_opening.py::"
        "test_who_asked_first_gets_the_first_and_nobody_who_comes_later_takes_it",
        evidence="assert ",
    ),
    Mutant(
        name="a write leaves on a connection that was idle for long without asking first",
        place="Switchboard._is_doubtful",
        old="idle_seconds <= IDLE_SECONDS or connection.owed",
        new="idle_seconds >= 0",
        killer="tests/servers/test_far_nodes.py::"
        "test_idle_connections_that_were_forgotten_on_the_way_cost_no_write",
        evidence="not confirmed",
    ),
    Mutant(
        name="another server of a member's name serves",
        place="Admission.refusal",
        old="identity is not None and (found.identity or '') != identity",
        new=NEVER,
        killer="tests/unit/test_identity.py::"
        "test_a_server_of_the_name_with_another_identity_serves_nobody",
        evidence="assert (reason is None) is is_admitted",
    ),
    Mutant(
        name="a deadline that passed while the event loop was blocked counts",
        place="Operation._was_held_up",
        old="late_seconds < LATE_SECONDS",
        new="late_seconds > 0",
        killer="tests/servers/test_asyncio.py::"
        "test_a_loop_that_is_blocked_longer_than_the_time_out_loses_no_answer",
        evidence="redrepl.values.errors.",
    ),
    Mutant(
        name="a deadline that passed while the caller was held up counts",
        place="Channel._left_seconds",
        old="-LATE_SECONDS",
        new="-60",
        killer="tests/unit/test_channel.py::"
        "test_a_caller_that_was_held_up_still_gets_answers_and_then_the_deadline_counts",
        evidence="DeadlinePassed",
    ),
    Mutant(
        name="a channel that was left in the midst of an exchange is used again",
        place="Channel.is_usable",
        old="not self._is_amid",
        new=REMOVED,
        killer="tests/unit/test_interruptions.py::"
        "test_a_channel_that_was_left_amid_an_exchange_is_not_used_again",
        evidence="is not",
    ),
    Mutant(
        name="a request that TLS sent in part goes on in smaller pieces",
        place="NodeConnection.send",
        old="self._is_tls",
        new=NEVER,
        killer="tests/unit/test_tls_sockets.py::test_a_request_of_any_size_arrives_as_it_is",
        evidence="BAD_LENGTH",
    ),
    Mutant(
        name="what TLS has decrypted already is left until more comes",
        place="NodeConnection.receive",
        old="self._is_tls",
        new=NEVER,
        killer="tests/unit/test_tls_sockets.py::test_answers_that_came_in_one_record_are_all_read",
        evidence="nothing shows it",
    ),
    Mutant(
        name="certificates are read once",
        place="_version_of_file",
        old="(found.st_mtime_ns, found.st_size, found.st_ino)",
        new="None",
        killer="tests/unit/test_tls_settings.py::test_files_that_changed_are_read_again",
        evidence="assert",
    ),
    Mutant(
        name="the authorities of the system are trusted beside the one that is named",
        place="TlsSettings.make_context",
        old="context.options |= ssl.OP_NO_RENEGOTIATION",
        new="context.load_default_certs()",
        killer="tests/unit/test_tls_settings.py::"
        "test_the_authorities_that_are_named_are_trusted_and_no_others",
        evidence="assert",
    ),
    Mutant(
        name="a member hash that something else overwrote keeps the workers out",
        place="_Talk._in_place_of",
        old="command[0] == b'HMGET'",
        new=NEVER,
        killer="tests/servers/test_bookkeeping_overwritten.py::"
        "test_a_worker_that_connects_afterwards_fills_it",
        evidence="WRONGTYPE",
    ),
    Mutant(
        name="a map whose keys cannot be keys ends a call with TypeError",
        place="NodeConnection.receive",
        old="(TypeError, ValueError, RecursionError, MemoryError)",
        new="FloatingPointError",
        killer="tests/unit/test_reading.py::"
        "test_an_answer_that_no_protocol_of_ours_has_ends_its_connection",
        evidence="TypeError: unhashable",
    ),
    Mutant(
        name="a list that announces a billion places reaches the parser",
        place="_next_element",
        old="_number(length) > MOST_PLACES",
        new="_number(length) > 2 * MOST_PLACES",
        killer="tests/unit/test_announced_lists.py::test_the_longest_list_is_taken",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="False is taken for the end of what arrived",
        place="NOTHING_YET",
        old="object()",
        new="False",
        killer="tests/unit/test_reading.py::test_false_is_an_answer_like_others",
        evidence="assert ",
    ),
    Mutant(
        name="a line without end is gone through with all that arrives",
        place="AnnouncedLists._keep",
        old="place + _KEPT_BYTES // 2 < len(whole)",
        new=NEVER,
        killer="tests/unit/test_announced_lists.py::"
        "test_a_line_without_end_is_not_gone_through_again_and_again",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="redis-py's parsers are left to the garbage collector",
        place="open_connection",
        old="vars(connection._parser).clear()",
        new=REMOVED,
        killer="tests/servers/test_connections.py::"
        "test_what_redis_py_opened_a_connection_with_is_gone_at_once",
        evidence="nothing is left of opening connections",
    ),
    Mutant(
        name="a node that stays away is told at every try",
        place="NodeGate._tell_unavailable",
        old="kind == self._told_kind",
        new=REMOVED,
        killer="tests/unit/test_facts.py::"
        "test_a_node_that_cannot_be_reached_is_told_once_for_each_kind_of_reason",
        evidence="assert [",
    ),
    Mutant(
        name="a gate that is closed tells that its node is away",
        place="NodeGate._tell_unavailable",
        old="self._closed",
        new=REMOVED,
        killer="tests/unit/test_facts.py::test_a_gate_that_is_closed_tells_nothing",
        evidence="node_unavailable",
    ),
    Mutant(
        name="what a server quotes of a login is told",
        place="_Talk._in_place_of",
        old="shown_reason(str(error))",
        new="str(error)",
        killer="tests/unit/test_introduction.py::"
        "test_a_server_that_quotes_what_it_was_asked_shows_no_password",
        evidence="s3cr3t",
    ),
)
