"""Bugs in what programs call: writes, batches, transactions, the cache."""

from __future__ import annotations

from tests.faults.planting import NEVER, REMOVED, Mutant

MUTANTS = (
    Mutant(
        name="a program whose clock jumped writes nothing any more",
        place="Coordinator._run",
        old="is_about_clocks(...)",
        new=NEVER,
        killer="tests/servers/test_clocks.py::"
        "test_after_one_write_that_is_refused_the_clock_is_right",
        evidence="ClockSkew",
    ),
    Mutant(
        name="one damaged entry of a cache costs all that are asked for with it",
        place="ReplicatedCache._decode",
        old="except UndecodableValue as error: ...",
        new="except ZeroDivisionError as error: ...",
        killer="tests/servers/test_cache.py::"
        "test_what_is_no_json_is_a_miss_and_costs_no_other_entry",
        evidence="UndecodableValue",
    ),
    Mutant(
        name="a closed coordinator asks the nodes all the same",
        place="Coordinator._run",
        old="if self._is_closed: ...",
        new=REMOVED,
        killer="tests/servers/test_mistakes.py::test_after_close_every_operation_says_so",
        evidence="is closed",
    ),
    Mutant(
        name="a transaction with an unknown outcome is repeated",
        place="run_transactions",
        old="except TransactionConflict: ...",
        new="except Exception: ...",
        killer="tests/unit/test_transaction.py::"
        "test_an_answer_of_the_primary_that_is_lost_leaves_it_unknown_and_it_is_not_repeated",
        evidence="assert ",
    ),
    Mutant(
        name="a failover that was refused is told as nothing",
        place="UpkeepFacts.failover",
        old="self._reporter.note(Observer.failover_refused, primary=primary, why=_why_of(error))",
        new="str(Observer.failover_refused, primary=primary, why=_why_of(error))",
        killer="tests/unit/test_facts.py::test_a_failover_is_told_with_what_came_of_it",
        evidence="failover_refused",
    ),
)
