"""`redrepl failover` and `redrepl switchover`."""

from __future__ import annotations

import pytest

from redrepl import Coordinator
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CliCluster
from tests.cli.support.programs import run_on_terminal
from tests.cli.support.results import json_of

pytestmark = pytest.mark.servers


def primary_of(cluster: CliCluster, invoke: Invoke) -> str:
    found: str = json_of(
        invoke("nodes", "list", "--format", "json", "--config", str(cluster.file))
    )["primary"]
    return found


def epoch_of(cluster: CliCluster, invoke: Invoke) -> int:
    found: int = json_of(
        invoke("nodes", "list", "--format", "json", "--config", str(cluster.file))
    )["epoch"]
    return found


def test_switchover_in_both_forms(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    cluster.set_everywhere(key="v")
    result = invoke("switchover", "--to", "b", "--yes", *config)
    assert result.exit_code == 0
    assert "primary a -> b, epoch 1 -> 2\nnothing is lost" in result.stderr
    rows = dict(
        line.split(maxsplit=1)
        for line in result.stdout.splitlines()
        if not line.startswith("records")
    )
    assert (rows["primary"], rows["previous"], rows["epoch"]) == ("b", "a", "2")
    assert sorted(rows["active"].split(", ")) == ["a", "b", "c"]
    done = json_of(invoke("switchover", "--to", "c", "--yes", "--format", "json", *config))
    seconds = done.pop("seconds")
    assert 0 < seconds < 60
    active = sorted(done.pop("active"))
    assert active == ["a", "b", "c"]
    expected = {
        "schema_version": 1,
        "epoch": 3,
        "primary": "c",
        "previous": "b",
        "records": 0,
        "left": {},
    }
    assert done == expected
    assert primary_of(cluster, invoke) == "c"
    with Coordinator[str, bytes](cluster.configuration) as store:
        assert store.get("key", level="all") == b"v"


def test_failover_of_a_primary_that_is_away(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.set_everywhere(key="v")
    cluster["a"].kill()
    result = invoke("failover", "--yes", "--format", "json", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.DEGRADED
    done = json_of(result)
    assert (done["epoch"], done["previous"], list(done["left"]), done["could_be_lost"]) == (
        2,
        "a",
        ["a"],
        None,
    )
    assert "How many: not known" in done["could_be_lost_text"]
    assert "writes whose outcome is unknown" in result.stderr
    assert "left to the workers: a: " in result.stderr
    assert primary_of(cluster, invoke) == done["primary"]
    assert (
        invoke("get", "key", "--level", "quorum", "--config", str(cluster.file)).stdout_bytes
        == b"v"
    )


def test_failover_of_a_primary_that_restarted_counts(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.set_everywhere(key="v")
    invoke("sync", "--yes", "--config", str(cluster.file))
    cluster["a"].restart(empty=True)
    result = invoke("failover", "--to", "b", "--yes", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.DEGRADED
    assert "primary 'a' takes no part (came back empty)" in result.stderr
    assert result.stdout.splitlines()[-1].split() == ["could", "be", "lost", "not", "known"]


def test_failover_of_a_sound_primary_loses_nothing_and_says_so(
    cluster: CliCluster, invoke: Invoke
) -> None:
    config = ("--config", str(cluster.file), "--format", "json")
    stays = invoke("failover", "--yes", *config)
    assert (stays.exit_code, json_of(stays)["primary"], json_of(stays)["could_be_lost"]) == (
        0,
        "a",
        0,
    )
    assert "primary a stays, epoch 1 -> 2" in stays.stderr
    moved = invoke("failover", "--to", "c", "--yes", *config)
    assert (moved.exit_code, json_of(moved)["primary"], json_of(moved)["could_be_lost"]) == (
        0,
        "c",
        0,
    )
    assert "nothing can be lost: primary 'a' answers and takes part" in moved.stderr
    assert "`redrepl switchover`" in moved.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["switchover", "--to", "b"], "there is no terminal to ask on\ntry: give --yes"),
        (["failover"], "there is no terminal to ask on\ntry: give --yes"),
        (
            ["failover", "--accept-loss", "--to", "b"],
            "there is no terminal to ask on\ntry: give --yes",
        ),
        (["switchover", "--yes"], "Missing option '--to'"),
        (["switchover", "--to", "z", "--yes"], "node 'z' is no member; members are a, b, c"),
        (["switchover", "--to", "a", "--yes"], "node 'a' is the primary already"),
        (["failover", "--to", "z", "--yes"], "node 'z' is no member; members are a, b, c"),
        (["failover", "--accept-loss", "--yes"], "--accept-loss needs --to NODE"),
        (["failover", "--accept-loss", "--to", "b", "--yes"], "nothing needs to be lost: a, b, c"),
    ],
)
def test_requests_that_cannot_be(
    arguments: list[str], message: str, shared_cluster: CliCluster, invoke: Invoke
) -> None:
    result = invoke(*arguments, "--config", str(shared_cluster.file))
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert message in result.stderr
    assert epoch_of(shared_cluster, invoke) == 1


def test_without_the_nodes_it_takes_it_is_unavailable(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    cluster["a"].kill()
    refused = invoke("switchover", "--to", "b", "--yes", *config)
    assert (refused.exit_code, refused.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "use failover" in refused.stderr
    cluster["b"].kill()
    refused = invoke("failover", "--yes", *config)
    assert (refused.exit_code, refused.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "2 of 3 members must take part" in refused.stderr
    refused = invoke("failover", "--accept-loss", "--to", "a", "--yes", *config)
    assert refused.exit_code == ExitCode.UNAVAILABLE
    assert epoch_of(cluster, invoke) == 1


def test_going_on_with_a_loss(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.set_everywhere(key="v")
    for node in "ab":
        cluster[node].restart(empty=True)
    result = invoke(
        "failover",
        "--accept-loss",
        "--to",
        "c",
        "--yes",
        "--format",
        "json",
        "--config",
        str(cluster.file),
    )
    assert result.exit_code == ExitCode.DEGRADED
    assert result.stderr.startswith(
        "WARNING: DATA MAY BE LOST FOR GOOD\nprimary a -> c, epoch 1 -> 101\n"
    )
    done = json_of(result)
    assert (done["primary"], done["active"], done["left"]) == (
        "c",
        ["c"],
        dict.fromkeys("ab", "came back empty"),
    )
    assert done["could_be_lost"] is None
    assert "acknowledged writes too" in done["could_be_lost_text"]
    for node in "ab":
        assert invoke("sync", node, "--yes", "--config", str(cluster.file)).exit_code == 0
    assert (
        invoke("get", "key", "--level", "all", "--config", str(cluster.file)).stdout_bytes == b"v"
    )


@pytest.mark.parametrize(
    ("answer", "code", "epoch"), [("c", ExitCode.DEGRADED, 101), ("y", 1, 1), ("", 1, 1)]
)
def test_a_loss_is_accepted_by_typing_the_nodes_name(
    answer: str, code: int, epoch: int, cluster: CliCluster, invoke: Invoke
) -> None:
    for node in "ab":
        cluster[node].restart(empty=True)
    arguments = ["failover", "--accept-loss", "--to", "c"]
    ended = run_on_terminal(arguments, cluster.file, {"Type c to go on": f"{answer}\n"})
    assert ended.exit_code == code
    assert "WARNING" in ended.output
    assert epoch_of(cluster, invoke) == epoch


@pytest.mark.parametrize("command", [["switchover", "--to", "b"], ["failover", "--to", "b"]])
@pytest.mark.parametrize(("answer", "code", "epoch"), [("y", 0, 2), ("n", 1, 1)])
def test_a_move_asks_on_a_terminal(
    command: list[str], answer: str, code: int, epoch: int, cluster: CliCluster, invoke: Invoke
) -> None:
    ended = run_on_terminal(command, cluster.file, {"Go on? [y/N]": f"{answer}\n"})
    assert ended.exit_code == code
    assert "primary a -> b, epoch 1 -> 2" in ended.output
    assert epoch_of(cluster, invoke) == epoch
