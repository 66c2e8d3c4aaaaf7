"""A forked child of the owner neither ends the owner's servers nor keeps them alive."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrepl.embedded import ServerBinary
from tests.support.owners import TWO_SERVERS, Owners
from tests.support.processes import all_gone, process_is_gone
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers


@pytest.fixture
def owners(server_binary: ServerBinary, tmp_path: Path) -> Iterator[Owners]:
    made = Owners(server_binary, tmp_path / "temporary")
    yield made
    made.close()


def test_after_kill_while_a_forked_child_lives(owners: Owners) -> None:
    owner = owners.start(
        TWO_SERVERS
        + """
child = os.fork()
if child == 0:
    wait_for_line()
    os._exit(0)
tell(child=[child])
wait_for_line()
"""
    )
    [child] = owner.read()["child"]
    os.kill(owner.process.pid, signal.SIGKILL)
    owner.expect_nothing_left()
    assert not process_is_gone(child)
    os.kill(child, signal.SIGKILL)


def test_a_forked_childs_end_leaves_the_servers_alone(owners: Owners) -> None:
    owner = owners.start(
        TWO_SERVERS
        + """
from redrepl.embedded import EmbeddedError
child = os.fork()
if child == 0:
    server = cluster['a']
    cluster.stop()
    try:
        server.kill()
    except EmbeddedError as error:
        refused = 'belongs to process' in str(error)
    with EmbeddedServer(binary=binary) as own:
        seen = server.running and own.running and not own.frozen
    sys.exit(0 if refused and seen else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
tell(*cluster.servers.values(), code=[code])
wait_for_line()
"""
    )
    told = owner.read()
    assert told["code"] == [0]
    assert told["pids"] == owner.pids
    assert not any(process_is_gone(pid) for pid in owner.pids)
    owner.process.kill()
    owner.expect_nothing_left()


def test_a_forked_childs_own_servers_end_with_it(owners: Owners) -> None:
    owner = owners.start(
        """
import signal
mine = EmbeddedServer(binary=binary).start()
child = os.fork()
if child == 0:
    tell(EmbeddedServer(binary=binary).start(), child=[os.getpid()])
    signal.pause()
os.waitpid(child, 0)
tell(mine)
wait_for_line()
"""
    )
    childs_pids = owner.pids
    os.kill(owner.told["child"][0], signal.SIGKILL)
    owner.pids = owner.read()["pids"]
    wait_until(lambda: all_gone(childs_pids), message="the child's server and watchdog end")
    wait_until(
        lambda: len(os.listdir(owners.temporary)) == 1,
        message="only the parent's directory is left",
    )
    assert not any(process_is_gone(pid) for pid in owner.pids)
    owner.process.kill()
    owner.expect_nothing_left()
