"""However the owner ends, no process and no directory stays.

The owners are Python processes of their own.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrepl.embedded import EmbeddedServer, ServerBinary
from tests.support.clients import connect
from tests.support.owners import TWO_SERVERS, Owners
from tests.support.processes import all_gone, process_is_gone
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers


@pytest.fixture
def owners(server_binary: ServerBinary, tmp_path: Path) -> Iterator[Owners]:
    made = Owners(server_binary, tmp_path / "temporary")
    yield made
    made.close()


def test_after_a_normal_end(owners: Owners) -> None:
    owner = owners.start(TWO_SERVERS + "wait_for_line()")
    owner.say()
    assert owner.end() == ""
    assert owner.process.returncode == 0
    # No waiting: a normal end returns when all is gone.
    assert all_gone(owner.pids)
    assert os.listdir(owners.temporary) == []


def test_after_an_exception(owners: Owners) -> None:
    owner = owners.start(TWO_SERVERS + "wait_for_line(); raise RuntimeError('on purpose')")
    owner.say()
    assert "on purpose" in owner.end()
    owner.expect_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_after_a_signal_to_the_owners_group(owners: Owners, number: signal.Signals) -> None:
    owner = owners.start(TWO_SERVERS + "wait_for_line()")
    os.killpg(owner.process.pid, number)
    owner.end()
    assert owner.process.returncode == -number
    owner.expect_nothing_left()


def test_servers_outlast_a_ctrl_c_that_the_owner_survives(owners: Owners) -> None:
    owner = owners.start(
        """
cluster = EmbeddedCluster(2, binary=binary).start()
try:
    tell(*cluster.servers.values())
    wait_for_line()
except KeyboardInterrupt:
    tell(*cluster.servers.values(), running=[server.running for server in cluster.servers.values()])
wait_for_line()
"""
    )
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.read()["running"] == [True, True]
    os.kill(owner.process.pid, signal.SIGKILL)
    owner.expect_nothing_left()


def test_after_kill_with_a_frozen_and_a_dead_server(owners: Owners) -> None:
    owner = owners.start(
        TWO_SERVERS
        + "wait_for_line(); cluster['a'].freeze(); cluster['b'].kill(); tell(); wait_for_line()"
    )
    owner.say()
    owner.read()
    owner.process.kill()
    owner.expect_nothing_left()


def test_a_killed_watchdog_is_replaced(owners: Owners) -> None:
    owner = owners.start(
        TWO_SERVERS
        + """
wait_for_line()
third = EmbeddedServer(binary=binary).start()
tell(*cluster.servers.values(), third)
wait_for_line()
"""
    )
    first_watchdog = owner.pids[-1]
    os.kill(first_watchdog, signal.SIGKILL)
    wait_until(lambda: process_is_gone(first_watchdog))
    owner.say()
    owner.pids = owner.read()["pids"]
    assert len(owner.pids) == 4
    assert owner.pids[-1] != first_watchdog
    owner.process.kill()
    owner.expect_nothing_left()


def test_a_normal_end_saves_data_in_a_given_directory(owners: Owners, tmp_path: Path) -> None:
    owner = owners.start(
        f"""
import redis
kept = {str(tmp_path / "kept")!r}
server = EmbeddedServer(binary=binary, directory=kept, persistence='rdb').start()
redis.Redis.from_url(server.url).set('key', 'value')
tell(server)
wait_for_line()
"""
    )
    owner.say()
    assert owner.end() == ""
    owner.expect_nothing_left()
    with EmbeddedServer(
        binary=owners.binary, directory=tmp_path / "kept", persistence="rdb"
    ) as server:
        assert connect(server).get("key") == b"value"


def test_data_in_a_given_directory_survives_the_owners_kill(owners: Owners, tmp_path: Path) -> None:
    owner = owners.start(
        f"tell(EmbeddedServer(binary=binary, directory={str(tmp_path / 'kept')!r}, "
        "persistence='aof').start())\n"
        "wait_for_line()"
    )
    owner.process.kill()
    owner.expect_nothing_left()
    assert (tmp_path / "kept" / "appendonlydir").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_loop_of_starts_can_be_killed_at_any_moment(owners: Owners, rounds: int) -> None:
    owner = owners.start(
        """
server = EmbeddedServer(binary=binary).start()
tell(server)
wait_for_line()
while True:
    server.stop()
    server.start()
    tell()
"""
    )
    owner.say()
    for _ in range(rounds):
        owner.read()
    owner.process.kill()
    owner.pids = owner.pids[-1:]
    owner.expect_nothing_left()
    # Nor does a server live that nobody ever told about: its log is open, even if removed.
    assert not [name for name in _standard_outputs() if name.startswith(str(owners.temporary))]


def _standard_outputs() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            yield os.readlink(process / "fd" / "1")
