"""`redrepl jobs` and `redrepl worker`."""

from __future__ import annotations

import base64
import signal
import zlib
from typing import Any

import pytest
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.results import Result

from redrepl.edges.wake_ups import enqueue_bring_up, enqueue_sweep, open_queue
from redrepl.values.jobs import default_queue, job_id
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CLUSTER, CliCluster, write_configuration
from tests.cli.support.programs import start
from tests.cli.support.results import json_of
from tests.servers.support.forgeries import BOMB
from tests.support.clients import connect
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers


@pytest.fixture
def queue(cluster: CliCluster) -> Any:
    """The cluster's queue with a job in each state, and others that are not this cluster's."""
    queue = open_queue(cluster.queue.url, default_queue(CLUSTER))
    for name, node in ((CLUSTER, "a"), (CLUSTER, "b"), (CLUSTER, "c"), ("other", "x")):
        assert enqueue_bring_up(queue, name, node)
    assert enqueue_sweep(queue, CLUSTER)
    assert not enqueue_sweep(queue, CLUSTER), "one at a time"
    queue.enqueue("operator.add", 1, 2)
    failed, started = (
        Job.fetch(job_id(CLUSTER, n, 0), queue.connection, queue.serializer) for n in ("b", "c")
    )
    for job in (failed, started):
        queue.remove(job)
    FailedJobRegistry(queue=queue).add(failed, ttl=60)
    Result.create_failure(failed, 60, "Traceback ...\nValueError: boom\n")
    queue.connection.zadd(StartedJobRegistry(queue=queue).key, {f"{started.id}:execution": 1e12})
    return queue


@pytest.mark.usefixtures("queue")
def test_jobs_of_this_cluster_by_state(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    found = json_of(invoke("jobs", "--format", "json", *config))
    assert (found["cluster"], found["queue"]) == (CLUSTER, default_queue(CLUSTER))
    assert [(j["work"], j["node"], j["state"], j["error"]) for j in found["jobs"]] == [
        ("bring up", "c", "started", None),
        ("bring up", "a", "queued", None),
        ("sweep", None, "queued", None),
        ("bring up", "b", "failed", "ValueError: boom"),
    ]
    assert all(
        job["id"].startswith(f"redrepl-{len(CLUSTER)}-{CLUSTER}-") and job["enqueued_at"]
        for job in found["jobs"]
    )
    result = invoke("jobs", "--failed", *config)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("ValueError: boom")


@pytest.mark.usefixtures("queue")
def test_status_counts_the_queue(cluster: CliCluster, invoke: Invoke) -> None:
    found = json_of(invoke("status", "--format", "json", "--config", str(cluster.file)))
    assert found["queue"] == {"pending": 4, "failed": 1, "workers": 0}


@pytest.mark.usefixtures("queue")
def test_what_others_wrote_to_the_queue_is_not_listed(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    before = json_of(invoke("jobs", "--format", "json", *config))
    name = default_queue(CLUSTER)
    start = f"redrepl-{len(CLUSTER)}-{CLUSTER}-"
    with connect(cluster.queue) as client:
        for number, data in enumerate(
            (BOMB, b"", zlib.compress(b"[" * 900), zlib.compress(b'["os.abort",null,[],{}]'))
        ):
            client.hset(f"rq:job:{start}{number}", mapping={"data": data, "enqueued_at": "\x1b[2J"})
            client.lpush(f"rq:queue:{name}", f"{start}{number}", "x" * 2_000_000)
            client.zadd(f"rq:failed:{name}", {f"{start}{number}": 1})
        client.set(f"rq:job:{start}text", "of another kind")
        client.lpush(f"rq:queue:{name}", f"{start}text", b"\xff")
        client.xadd(
            f"rq:results:{job_id(CLUSTER, 'b', 0)}",
            {"type": 2, "exc_string": base64.b64encode(BOMB)},
        )
        client.sadd(f"rq:workers:{name}", "rq:worker:gone", "x" * 200_000)
        after = json_of(invoke("jobs", "--format", "json", *config))
        for job in (*before["jobs"], *after["jobs"]):
            del job["error"]
        assert after == before
        assert json_of(invoke("status", "--format", "json", *config))["queue"]["workers"] == 0
        client.delete(f"rq:queue:{name}")
        client.set(f"rq:queue:{name}", "of another kind")
        assert invoke("jobs", *config).exit_code == 0
        status = json_of(invoke("status", "--format", "json", *config))
        assert "WRONGTYPE" in status["queue"]["error"]


def test_no_jobs(shared_cluster: CliCluster, invoke: Invoke) -> None:
    result = invoke("jobs", "--config", str(shared_cluster.file))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no jobs\n")


def test_no_queue(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.queue.kill()
    result = invoke("jobs", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "the queue's Redis" in result.stderr
    write_configuration(cluster.file, cluster.servers.urls, None)
    result = invoke("jobs", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.ERROR
    assert "no queue_url is configured" in result.stderr


def test_a_burst_brings_up_a_node_that_came_back_empty(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.set_everywhere(x="1")
    cluster["b"].restart(empty=True)
    assert invoke("status", "--config", str(cluster.file)).exit_code == ExitCode.DEGRADED
    process = start(["worker", "--burst"], cluster.file)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert invoke("status", "--config", str(cluster.file)).exit_code == 0
    assert invoke("verify", "--config", str(cluster.file)).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_listens_until_a_signal(
    number: signal.Signals, cluster: CliCluster, invoke: Invoke
) -> None:
    process = start(["worker"], cluster.file)

    def workers() -> int:
        found: int = json_of(invoke("status", "--format", "json", "--config", str(cluster.file)))[
            "queue"
        ]["workers"]
        return found

    wait_until(lambda: workers() == 1, 30)
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in messages
    assert workers() == 0
