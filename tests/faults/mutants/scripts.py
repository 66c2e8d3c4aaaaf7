"""Bugs in the Lua scripts."""

from __future__ import annotations

from tests.faults.planting import REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a cursor that cannot be read stops the workers for ever",
        place="confirm.lua",
        old="'^(%d+%-%d+) '",
        new="'^(%S+) '",
        killer="tests/scripts/test_positions.py::test_what_cannot_be_read_is_no_cursor",
        evidence="Error",
    ),
    Mutant(
        name="a mark that cannot be read stops the workers for ever",
        place="position.lua",
        old="'^(%S+) (%d+%-%d+) '",
        new="'^(%S+) (%S+) '",
        killer="tests/scripts/test_absorb.py::test_what_cannot_be_read_is_no_mark",
        evidence="Error",
    ),
    Mutant(
        name="a stamp that is beyond what numbers hold stands for ever",
        place="record.lua",
        old="if is_impossible(stored) then return ABSENT end",
        new=REMOVED,
        killer="tests/scripts/test_write.py::test_an_impossible_stamp_stands_against_nothing",
        evidence="assert",
    ),
    Mutant(
        name="any error on a key is taken for another type, and the key is removed",
        place="typed.lua",
        old="if string.find(tostring(why), 'WRONGTYPE', 1, true) then",
        new="if true then",
        killer="tests/servers/test_access_rules.py::"
        "test_a_login_that_lacks_a_right_deletes_no_bookkeeping",
        evidence="kept",
    ),
    Mutant(
        name="write without a guard",
        place="write.lua",
        old="if not admits(member) then return refusal(member) end",
        new=REMOVED,
        killer="tests/servers/test_membership.py::"
        "test_writes_of_an_old_epoch_are_refused_everywhere",
        evidence="b'refused'",
        quick=True,
    ),
    Mutant(
        name="the short way through write without a guard",
        place="write.lua",
        old="if found[1] == ARGV[1] and found[2] == 'active' and",
        new="if",
        killer="tests/servers/test_membership.py::"
        "test_writes_of_an_old_epoch_are_refused_everywhere",
        evidence="b'refused'",
    ),
    Mutant(
        name="the short way through write replaces later records",
        place="write.lua",
        old="and micros > number(sub(stored, 1, 14), 16)",
        new=REMOVED,
        killer="tests/scripts/test_write.py::test_a_rule_takes_or_keeps",
        evidence="assert ",
    ),
    Mutant(
        name="the short way through write does not know how far ahead a stamp may be",
        place="write.lua",
        old="and micros <= now + found[4] then",
        new="then",
        killer="tests/scripts/test_short_way.py::test_both_ways_do_the_same",
        evidence="case ",
    ),
    Mutant(
        name="delete removes the record",
        place="write.lua",
        old="if not redis.pcall('SET', key, record).err then return 1 end",
        new="""
            if sub(record, 23, 23) == 'v' then call('SET', key, record) else call('DEL', key)
                end
            if id then return 1 end
        """,
        killer="tests/servers/test_client_killed.py::"
        "test_an_older_write_that_arrives_late_does_not_undo_a_delete[b]",
        evidence="assert ",
    ),
    Mutant(
        name="no log entry",
        place="write.lua",
        old="local id = call('XADD', KEYS[2], '*', key, sub(record, 1, 22))",
        new="local id = '0-1'",
        killer="tests/servers/test_client_killed.py::"
        "test_a_write_that_reached_the_primary_alone_reaches_every_copy",
        evidence="differ in 1 keys",
        quick=True,
    ),
    Mutant(
        name="no native expiry",
        place="record.lua",
        old=", 'PXAT', expiry)",
        new=")",
        killer="tests/servers/test_returning_values.py::"
        "test_every_copy_forgets_at_the_same_deadline",
        evidence="native expiry only collects garbage",
    ),
    Mutant(
        name="the primary keeps an older stamp",
        place="acceptance.lua",
        old="if not decides then return nil, 'has', string.sub(stored, 1, 22) end",
        new="if true then return nil, 'has', string.sub(stored, 1, 22) end",
        killer="tests/servers/test_clocks.py::test_a_later_delete_from_a_clock_behind_stands",
        evidence="b'key'",
    ),
    Mutant(
        name="a replica takes what a purged tombstone stood against",
        place="acceptance.lua",
        old="if stored == ABSENT and micros < purged_before(member, now) then",
        new="if false then",
        killer="tests/unit/test_anti_entropy.py::test_a_write_from_before_a_purge_takes_no_effect",
        evidence="TypeError: 'int' object is not subscriptable",
    ),
    Mutant(
        name="a purge limit of a wrong clock is believed",
        place="guard.lua",
        old="return math.min(member.noted_limit, now - member.max_age)",
        new="return member.noted_limit",
        killer="tests/scripts/test_purge.py::"
        "test_a_limit_that_a_wrong_clock_left_turns_down_nothing_new",
        evidence="b'expired'",
    ),
    Mutant(
        name="whoever asks for a purge says what is old",
        place="purge.lua",
        old="local before = math.min(tonumber(ARGV[2]), now - member.max_age)",
        new="local before = tonumber(ARGV[2])",
        killer="tests/scripts/test_purge.py::"
        "test_a_caller_whose_clock_is_ahead_purges_nothing_young",
        evidence="[b'ok', 2]",
    ),
    Mutant(
        name="a replica refuses what its primary stamped in the future",
        place="acceptance.lua",
        old="or (member.rule == 'follow' and string.byte(record, 15) >= 56)",
        new=REMOVED,
        killer="tests/scripts/test_write.py::test_a_rule_takes_or_keeps",
        evidence="skewed",
    ),
    Mutant(
        name="a record that nobody decided is put back",
        place="mend.lua",
        old="return is_known and is_checked and is_settled == '1'",
        new="return is_known and is_settled == '1'",
        killer="tests/scripts/test_mending.py::test_what_the_copy_does_not_prove_stays_away",
        evidence="AssertionError",
    ),
    Mutant(
        name="what was deleted since is put back",
        place="mend.lua",
        old="if newest[name] then return newest[name] == string.sub(record, 1, 22) end",
        new="if newest[name] then return true end",
        killer="tests/scripts/test_mending.py::test_what_was_overwritten_or_deleted_stays_away",
        evidence="AssertionError",
    ),
    Mutant(
        name="a primary ahead of its reader calls absent what it dropped",
        place="read_many.lua",
        old="if now > caller + member.max_age then",
        new="if false then",
        killer="tests/scripts/test_doubt.py::"
        "test_a_reader_far_behind_the_node_s_clock_is_answered_nothing",
        evidence="expected 3, got 2",
    ),
    Mutant(
        name="a primary that was ahead lets keys be added that it dropped",
        place="operation.lua",
        old="if stored == ABSENT and is_in_doubt(member, now) then",
        new="if false then",
        killer="tests/scripts/test_doubt.py::"
        "test_a_node_that_was_ahead_answers_what_it_has_and_does_not_call_the_rest_absent",
        evidence="b'refused'",
    ),
    Mutant(
        name="records read before a purge are stored after it",
        place="absorb.lua",
        old="if seen_purged_before and seen_purged_before ~= member.noted_limit then",
        new="if false then",
        killer="tests/unit/test_anti_entropy.py::"
        "test_a_worker_that_was_stopped_before_a_purge_copies_nothing_old",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="the short way through write lets a replica pass for the primary",
        place="write.lua",
        old="and (found[5] ~= 'follow' or ARGV[3] ~= 'by ' .. (found[6] or ''))",
        new=REMOVED,
        killer="tests/scripts/test_guard.py::"
        "test_a_replica_that_is_taken_for_the_primary_takes_nothing",
        evidence="the short way",
        quick=True,
    ),
    Mutant(
        name="the long way through write lets a replica pass for the primary",
        place="write.lua",
        old="if is_taken_for_primary(member, ARGV[3]) then return refusal(member) end",
        new=REMOVED,
        killer="tests/scripts/test_guard.py::"
        "test_a_replica_that_is_taken_for_the_primary_takes_nothing",
        evidence="the long way",
    ),
    Mutant(
        name="a batch lets a replica pass for the primary",
        place="write_many.lua",
        old="if is_taken_for_primary(member, ARGV[#ARGV]) then return refusal(member) end",
        new=REMOVED,
        killer="tests/scripts/test_guard.py::"
        "test_a_replica_that_is_taken_for_the_primary_takes_nothing",
        evidence="write_many",
    ),
    Mutant(
        name="a replica answers a confirmed read as the primary",
        place="read_many.lua",
        old="if ARGV[2] == 'decided' and member.rule == 'follow' then return refusal(member) end",
        new=REMOVED,
        killer="tests/scripts/test_guard.py::"
        "test_a_replica_that_is_taken_for_the_primary_answers_no_read",
        evidence="b'refused'",
    ),
    Mutant(
        name="a foreign value is taken for nothing",
        place="record.lua",
        old="if type(stored) ~= 'string' or not is_header(stored) then return nil end",
        new="if type(stored) ~= 'string' or not is_header(stored) then return ABSENT end",
        killer="tests/servers/test_foreign.py::test_no_operation_overwrites_one_on_the_primary",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="several primaries keep what came first",
        place="acceptance.lua",
        old="if compare(proposed, stored) > 0 then return proposed end",
        new="if stored == ABSENT then return proposed end",
        killer="tests/servers/test_multi_primary.py::"
        "test_primaries_cut_from_each_other_agree_on_the_later_stamp",
        evidence="assert ",
    ),
    Mutant(
        name="a transaction forgets what it has read",
        place="transact.lua",
        old="if not is_as_expected(found[index], ARGV[place + 1], now) then "
        "report_conflict(index) end",
        new=REMOVED,
        killer="tests/servers/test_batch_and_transaction.py::"
        "test_concurrent_increments_by_reading_and_writing_lose_nothing",
        evidence="b'150'",
    ),
    Mutant(
        name="a transaction stores what it can",
        place="transact.lua",
        old="if is_unit and verdict == 'unmet' then report_conflict(index) end",
        new=REMOVED,
        killer="tests/servers/test_batch_and_transaction.py::"
        "test_one_operation_that_cannot_be_carried_out_stops_all",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="an append drops the deadline of the value",
        place="operation.lua",
        old="return 'v', live and string.sub(stored, 24, 35) or deadline, held .. operand",
        new="return 'v', deadline, held .. operand",
        killer="tests/unit/test_append.py::test_a_deadline_stays",
        evidence="assert 0 ==",
    ),
    Mutant(
        name="a transaction is several log entries",
        place="transact.lua",
        old="local id = #entry > 0 and redis.call('XADD', KEYS[2], '*', unpack(entry))",
        new="""
            local id
            for at = 1, #entry, 2 do id = redis.call('XADD', KEYS[2], '*', entry[at], entry[at +
                1]) end
        """,
        killer="tests/servers/test_batch_and_transaction.py::"
        "test_a_transaction_is_one_entry_of_the_same_stamps_on_every_copy",
        evidence="assert [{",
    ),
    Mutant(
        name="a transaction that waited in a frozen primary takes effect",
        place="operation.lua",
        old="if micros < now - member.max_age then return expired(now) end",
        new=REMOVED,
        killer="tests/servers/test_batch_and_transaction.py::"
        "test_a_frozen_primary_leaves_a_transaction_unknown_and_takes_it_whole_or_not_at_all[late]",
        evidence="assert {",
    ),
    Mutant(
        name="the guard of reads at ONE stays when a member changes",
        place="change_member.lua",
        old="redis.call('SET', KEYS[5], (now[1] or '') .. ' ' .. (now[2] or ''))",
        new=REMOVED,
        killer="tests/scripts/test_membership.py::"
        "test_a_member_is_changed_by_who_saw_its_present_state",
        evidence="b'8 syncing'",
    ),
    Mutant(
        name="a fence waits for memory",
        place="change_member.lua",
        old="-- flags: allow-oom",
        new=REMOVED,
        killer="tests/servers/test_full_memory.py::test_the_role_moves_although_others_are_full",
        evidence="OOM command not allowed",
    ),
    Mutant(
        name="deletes of what was never there take memory without an end",
        place="growth.lua",
        old="return growth > 0 and is_full()",
        new="return false",
        killer="tests/scripts/test_full_memory.py::test_a_delete_that_would_take_memory_is_refused",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="what could not be stored stays in the log",
        place="record.lua",
        old="local removed = id and redis.pcall('XDEL', KEYS[2], id)",
        new="local removed = 0",
        killer="tests/scripts/test_full_memory.py::"
        "test_a_login_that_may_append_but_not_store_leaves_nothing_in_the_log",
        evidence="assert ",
    ),
    Mutant(
        name="an earlier topology replaces a later one",
        place="change_member.lua",
        old="if epoch_of(ARGV[4]) >= stands then",
        new="if true then",
        killer="tests/scripts/test_membership.py::test_a_topology_gives_way_to_no_earlier_one",
        evidence="assert ",
    ),
    Mutant(
        name="a catch-up under way moves the mark beyond what was forgotten",
        place="absorb.lua",
        old="if ARGV[7] ~= '' and has_lost_entry(KEYS[1], KEYS[2], ARGV[7]) then return "
        "{'back'} end",
        new=REMOVED,
        killer="tests/unit/test_forgetting.py::"
        "test_a_catch_up_under_way_does_not_go_on_beyond_what_was_forgotten",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a hash of positions that something else overwrote is read as one",
        place="position.lua",
        old="local found = typed_call('HGET', key, field)",
        new="local found = redis.call('HGET', key, field)",
        killer="tests/servers/test_bookkeeping_overwritten.py::"
        "test_what_was_overwritten_is_made_anew",
        evidence="WRONGTYPE",
    ),
    Mutant(
        name="a list of clusters that is none keeps a server from being filled",
        place="enrol.lua",
        old="if not string.find(tostring(listed.err), 'WRONGTYPE', 1, true) then return listed end",
        new="do return listed end",
        killer="tests/servers/test_bookkeeping_overwritten.py::"
        "test_a_server_whose_list_of_clusters_is_none_is_filled",
        evidence="WRONGTYPE",
    ),
    Mutant(
        name="what was put where writes are tried counts as a refusal of the server",
        place="probe_write.lua",
        old="remove_other_type(KEYS[3], 'XLEN', KEYS[3])",
        new=REMOVED,
        killer="tests/servers/test_bookkeeping_overwritten.py::"
        "test_a_primary_takes_writes_whatever_was_put_where_they_are_tried",
        evidence="no_stream",
    ),
    Mutant(
        name="a login that may not move members stops them",
        place="change_member.lua",
        old="if not may(command, KEYS[1], KEYS[1], KEYS[1]) then",
        new="if false then",
        killer="tests/servers/test_access_rules.py::"
        "test_a_login_that_may_not_fail_over_stops_no_node",
        evidence="WriteRejected",
    ),
    Mutant(
        name="what a primary took is turned down by copies whose clocks are behind",
        place="acceptance.lua",
        old="return said == 'decided' or (member.rule",
        new="return (member.rule",
        killer="tests/servers/test_clock_steps.py::"
        "test_what_was_written_while_the_primary_was_ahead_is_read_at_quorum_afterwards",
        evidence="refused the repair",
    ),
    Mutant(
        name="a monitor's note of the future counts as a look just now",
        place="probe_write.lua",
        old="return {found[2] and now - found[2] or -1,",
        new="return {found[2] and math.max(0, now - found[2]) or -1,",
        killer="tests/servers/test_refusals.py::"
        "test_a_note_of_the_future_does_not_stand_for_a_monitor_that_looks",
        evidence="assert ",
    ),
    Mutant(
        name="a login that lacks a right is taken for a value of somebody else",
        place="typed.lua",
        old="error(answer)",
        new="return nil",
        killer="tests/servers/test_rights_taken.py::"
        "test_a_replica_that_could_not_be_read_has_what_was_acknowledged_meanwhile",
        evidence="Assertion",
    ),
    Mutant(
        name="only what stores is asked of a login that programs share",
        place="probe_write.lua",
        old="local denied = first_denied(ARGV[3])",
        new="local denied = ''",
        killer="tests/servers/test_rights_taken.py::"
        "test_a_primary_whose_records_cannot_be_read_is_replaced_and_nobody_is_told_to_delete_them",
        evidence="assert ",
    ),
    Mutant(
        name="the number of an epoch is forgotten with the bookkeeping that is dropped",
        place="disown.lua",
        old="then redis.call('SET', KEYS[9], epoch .. ' ') end",
        new="then epoch = '' end",
        killer="tests/unit/test_lying_nodes.py::"
        "test_an_epoch_that_a_dropped_member_told_of_does_not_begin_again[False]",
        evidence="assert (2, 'a') == (3, 'a')",
    ),
    Mutant(
        name="how far a lost log was confirmed is noted for the log that replaced it",
        place="confirm.lua",
        old="if is_another_log(ARGV[6]) then return 0 end",
        new=REMOVED,
        killer="tests/unit/test_lost_logs.py::"
        "test_a_late_worker_says_nothing_of_the_log_that_replaced_a_lost_one",
        evidence="assert (True, False)",
    ),
    Mutant(
        name="what a member lost is noted as confirmed while it is brought up",
        place="confirm.lua",
        old="if member.state == 'syncing' and tonumber(ARGV[4]) > entries_added() then return 0 "
        "end",
        new=REMOVED,
        killer="tests/scripts/test_positions.py::"
        "test_a_member_that_is_brought_up_is_noted_no_place_that_it_lost",
        evidence="assert 1 == ",
    ),
    Mutant(
        name="a place in a lost log is read on from in the log that replaced it",
        place="log_page.lua",
        old="if is_another_log(ARGV[3]) then return {'replaced'} end",
        new=REMOVED,
        killer="tests/unit/test_lost_logs.py::"
        "test_a_late_worker_reads_nothing_of_the_log_that_replaced_a_lost_one",
        evidence="DID NOT RAISE",
    ),
    Mutant(
        name="a log is cut at a place that was found in a lost one",
        place="trim.lua",
        old="if is_another_log(ARGV[6]) then return {'ok', 0} end",
        new=REMOVED,
        killer="tests/scripts/test_positions.py::"
        "test_a_log_that_was_begun_anew_is_cut_by_nobody_who_saw_the_one_before",
        evidence="assert b'",
    ),
    Mutant(
        name="a log is cut up to a place that it does not reach",
        place="trim.lua",
        old="if is_later_id(id, last_id) then return end",
        new=REMOVED,
        killer="tests/scripts/test_positions.py::"
        "test_a_place_that_the_log_does_not_reach_is_no_floor",
        evidence="AssertionError",
    ),
)
