"""Bugs in the values, and in how they are parsed."""

from __future__ import annotations

from tests.faults.planting import ALWAYS, NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a member that serves may be of any lineage",
        place="_check_member",
        old="report.lineage != report.epoch",
        new="report.lineage > report.epoch",
        killer="tests/unit/test_asking_nodes.py::"
        "test_a_member_serves_in_the_epoch_of_its_lineage_alone",
        evidence="active in epoch 7, of lineage 0",
    ),
    Mutant(
        name="a note of a sweep that somebody changed is taken as it is",
        place="check_counts",
        old="not all(type(each) is int and 0 <= each < 1 << 63 for each in found)",
        new=NEVER,
        killer="tests/unit/test_anti_entropy.py::test_notes_that_cannot_be_true_are_none",
        evidence="AssertionError",
    ),
    Mutant(
        name="a member that was not moved says who is replaced",
        place="NodeReport.voided",
        old="whole_number(...) > self.epoch",
        new=REMOVED,
        killer="tests/unit/test_lying_nodes.py::"
        "test_one_that_was_not_moved_cannot_say_that_another_one_is_replaced",
        evidence="AssertionError",
    ),
    Mutant(
        name="a run of any bytes counts as a restart, which no step can end",
        place="_check_member",
        old="not member.get(...).isascii()",
        new=NEVER,
        killer="tests/unit/test_lying_nodes.py::"
        "test_a_run_of_any_bytes_is_no_restart_that_could_be_ended",
        evidence="Unavailable",
    ),
    Mutant(
        name="one client too many counts as silence",
        place="_REFUSES_US",
        old="TOO_MANY_CLIENTS",
        new=REMOVED,
        killer="tests/unit/test_suspicion.py::test_one_that_turns_the_monitor_away_is_not_replaced",
        evidence="AssertionError",
    ),
    Mutant(
        name="the plan counts on one primary alone",
        place="_level",
        old="max(fixed, moving)",
        new="min(fixed, moving)",
        killer="tests/unit/test_availability.py::test_a_majority_of_three_with_failover_by_hand",
        evidence="assert ",
    ),
    Mutant(
        name="a slow answer is taken for a wrong clock",
        place="_covers",
        old="reading.least - half <= at <= reading.most + half",
        new="abs(reading.middle - at) <= half",
        killer="tests/unit/test_clocks.py::test_a_slow_answer_accuses_nobody",
        evidence="assert ",
    ),
    Mutant(
        name="a client takes its time from the primary alone",
        place="believed_ahead",
        old="majority_ahead(readings.values(), members, max_skew_seconds)",
        new="readings[primary].middle if primary in readings else None",
        killer="tests/unit/test_clocks.py::test_whose_clock_a_client_believes",
        evidence="assert ",
    ),
    Mutant(
        name="a job's arguments are inflated whatever comes out",
        place="_inflated",
        old="limits.MAX_JOB_INFLATED_BYTES",
        new=REMOVED,
        killer="tests/unit/test_jobs_on_the_queue.py::"
        "test_what_inflates_is_refused_before_it_is_inflated",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a job may have any id",
        place="read_job",
        old="job_id not in job.ids",
        new=NEVER,
        killer="tests/unit/test_jobs_on_the_queue.py::test_a_job_has_the_id_of_its_work",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="any signature will do",
        place="check_signature",
        old="not hmac.compare_digest(...)",
        new=NEVER,
        killer="tests/unit/test_jobs_on_the_queue.py::"
        "test_a_signature_holds_for_its_work_and_key_alone",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a write waits for every copy",
        place="ConsistencyLevel.required",
        old="(replicas + 1) // 2",
        new="replicas",
        killer="tests/servers/test_replica_outage.py::"
        "test_a_replica_that_is_down_when_the_client_starts_fails_no_write",
        evidence="WriteNotConfirmed",
    ),
    Mutant(
        name="a loss is accepted in the next epoch, which others may be using",
        place="limits.SKIPPED_EPOCHS",
        old="SKIPPED_EPOCHS: Final = 100",
        new="SKIPPED_EPOCHS: Final = 1",
        killer="tests/unit/test_accept_loss.py::"
        "test_members_that_failed_over_out_of_sight_follow_the_operators_choice",
        evidence="cannot be brought up",
    ),
    Mutant(
        name="a log that is gone has no lag",
        place="NodeReport.has_lost_log",
        old="any(cursor.position.entries > self.log.added for cursor in self.cursors.values())",
        new="False",
        killer="tests/servers/test_lost_logs.py::test_a_lost_log_is_told_and_mended",
        evidence="assert ",
    ),
    Mutant(
        name="a log may have been cut beyond its end",
        place="NodeReport.has_lost_log",
        old="id_order(...) > self.log.end.order",
        new=NEVER,
        killer="tests/unit/test_lost_logs.py::test_it_is_noticed_by_where_it_was_cut",
        evidence="assert ",
    ),
    Mutant(
        name="an entry that is gone from a log is no loss",
        place="NodeReport.lacks",
        old="bool(seen.entry_id) and not is_there and id_order(seen.entry_id) >= id_order(...)",
        new="False and id_order(seen.entry_id) >= id_order(self.log_floor)",
        killer="tests/unit/test_forgetting.py::"
        "test_an_entry_that_somebody_saw_and_is_gone_shows_it_where_the_log_grew_again",
        evidence="assert set() == {",
    ),
    Mutant(
        name="a member that goes back to before it was admitted again is not noticed",
        place="NodeReport.lacks",
        old="self.incarnation in seen.former",
        new=NEVER,
        killer="tests/unit/test_forgetting.py::"
        "test_a_member_that_goes_back_to_before_it_was_admitted_again_is_noticed",
        evidence="assert set() == {",
    ),
    Mutant(
        name="an entry that was cut counts as lost",
        place="NodeReport.lacks",
        old="id_order(...) >= id_order(...)",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::test_an_entry_that_was_cut_is_no_loss",
        evidence="} == {}",
    ),
    Mutant(
        name="what was seen of another server counts against this one",
        place="NodeReport.lacks",
        old="seen.identity != self.identity",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_what_was_seen_of_another_server_or_log_says_nothing",
        evidence="does not hold entry",
    ),
    Mutant(
        name="a crash is called forgetting",
        place="NodeReport.misses_entry",
        old="self.lost is not None and self._is_same_run and self.is_itself",
        new="self.lost is not None",
        killer="tests/unit/test_forgetting.py::"
        "test_a_crash_that_cost_the_last_second_is_called_a_restart",
        evidence="restarted",
    ),
    Mutant(
        name="a url with an at sign after its host is read",
        place="parse_node_url",
        old="'@' in path or '@' in query",
        new=NEVER,
        killer="tests/property/test_urls.py::"
        "test_a_password_as_it_is_never_becomes_a_part_of_the_address",
        evidence="assert",
    ),
    Mutant(
        name="the path of a url is stored, whatever it is",
        place="_parse_host",
        old="if number is None: ...",
        new="if False: ...",
        killer="tests/unit/test_node_url.py::test_what_is_wrong_is_named",
        evidence="Error",
    ),
    Mutant(
        name="a read-only login may store",
        place="node_grants",
        old="commands -= STORING",
        new=REMOVED,
        killer="tests/unit/test_permissions.py::test_a_login_that_reads_has_no_command_that_stores",
        evidence="Extra items in the left set",
    ),
    Mutant(
        name="a worker's login may change the list of clusters",
        place="_on_clusters",
        old="('hgetall', 'hkeys')",
        new="('hdel', 'hgetall', 'hkeys', 'hset')",
        killer="tests/unit/test_permissions.py::"
        "test_only_an_operators_login_adds_to_the_list_of_clusters_and_none_changes_it",
        evidence="hset",
    ),
    Mutant(
        name="EVALSHA's own selector has what stores",
        place="node_grants",
        old="('evalsha',)",
        new="('del', 'evalsha', 'hset', 'set')",
        killer="tests/servers/test_access_rules.py::test_no_login_changes_what_other_clusters_have",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a right that a script needs is left out",
        place="SCRIPT_COMMANDS",
        old="'exists getrange hget hmget hset info set strlen time xadd xdel'",
        new="'exists getrange hget hmget hset info set strlen time xadd'",
        killer="tests/unit/test_permissions.py::test_what_scripts_call_is_what_the_table_says",
        evidence="Differing items",
    ),
    Mutant(
        name="numbers of nodes are read in every form that Python knows",
        place="whole_number",
        old="type(found) is str and _DIGITS(found)",
        new="type(found) is not int",
        killer="tests/unit/test_reading.py::test_forms_of_numbers_that_no_server_writes_are_none",
        evidence="invalid literal for int()",
    ),
    Mutant(
        name="a note of a walk may hold an infinite number",
        place="whole_number",
        old="type(found) is not int or not 0 <= found < 1 << 63",
        new="isinstance(found, str) or not 0 <= int(found) < 1 << 63",
        killer="tests/unit/test_reading.py::test_values_that_are_no_whole_numbers_are_none",
        evidence="cannot convert float infinity",
    ),
    Mutant(
        name="a text that is nested without end ends its reader with RecursionError",
        place="load_json",
        old="except RecursionError as error: ...",
        new="except FloatingPointError as error: ...",
        killer="tests/property/test_parsers.py::test_only_documented_errors_come_out",
        evidence="RecursionError",
    ),
    Mutant(
        name="a token of a user's is read whatever its length",
        place="Session.from_token",
        old="len(token) > _MOST_CHARACTERS",
        new="len(token) > 1 << 62",
        killer="tests/unit/test_reading.py::test_a_token_that_a_user_made_up_is_refused",
        evidence="assert",
    ),
    Mutant(
        name="a token that is longer than its bound is given out",
        place="Session.token",
        old="room >= 0",
        new=ALWAYS,
        killer="tests/unit/test_reading.py::"
        "test_a_session_of_long_keys_has_a_token_that_can_be_read",
        evidence="session token cannot be read",
    ),
    Mutant(
        name="words of a node that are no UTF-8 end a call with UnicodeDecodeError",
        place="reading.words",
        old="content[:MOST_WORD_BYTES].decode(...)",
        new="content[:MOST_WORD_BYTES].decode('utf-8')",
        killer="tests/unit/test_reading.py::"
        "test_a_guard_of_other_letters_is_a_refusal_and_no_bare_error",
        evidence="UnicodeDecodeError",
    ),
    Mutant(
        name="an answer to a transaction may be shorter than that",
        place="_fits_transact",
        old="len(pairs) == len(names)",
        new=REMOVED,
        killer="tests/property/test_answers.py::test_what_no_node_of_ours_answers_is_known_too",
        evidence="ValueError",
    ),
    Mutant(
        name="an address may be configured that no topology holds",
        place="parse_node_url",
        old="len(public) > limits.MAX_ADDRESS_CHARACTERS or not public.isascii()",
        new=NEVER,
        killer="tests/unit/test_reading.py::"
        "test_an_address_that_no_resolver_takes_or_no_topology_holds_is_refused",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a parser is added that nobody tries",
        place="KeyLayout",
        old="class KeyLayout: ...",
        new="""
            def parse_name(name: bytes) -> int:
                return int(name)
            class KeyLayout: ...
        """,
        killer="tests/property/test_parsers_listed.py::test_every_parser_is_in_the_table",
        evidence="values.keys.parse_name",
    ),
    Mutant(
        name="a member that cannot be moved counts for a failover",
        place="NodeReport.takes_bookkeeping",
        old="not self.denied",
        new=REMOVED,
        killer="tests/servers/test_rights_taken.py::"
        "test_a_replica_that_cannot_be_moved_is_named_before_the_failover_that_needs_it",
        evidence="not met within",
    ),
    Mutant(
        name="what a server answered is shown to observers",
        place="shown_reason",
        old="why = before + found",
        new=REMOVED,
        killer="tests/unit/test_reporter.py::test_a_reason_shows_nothing_of_what_a_server_answered",
        evidence="the value",
    ),
)
