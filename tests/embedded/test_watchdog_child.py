"""What the watchdog kills and removes, and above all what it does not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl.embedded.watchdog_child import (
    UNKNOWN_START_TIME,
    Register,
    process_start_time,
    remove_directory,
)
from tests.support.waiting import wait_until

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="this system has no /proc")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def register_with(*lines: str) -> Register:
    register = Register()
    for line in lines:
        register.apply(f"{line}\n".encode())
    return register


def test_a_listed_process_is_killed(stranger: subprocess.Popen[bytes]) -> None:
    register_with(f"+process {stranger.pid} {process_start_time(stranger.pid)}").clean_up()
    assert stranger.wait(10) == -9


@needs_proc
def test_a_later_process_with_the_same_number_is_spared(stranger: subprocess.Popen[bytes]) -> None:
    later = int(process_start_time(stranger.pid)) + 1
    register_with(f"+process {stranger.pid} {later}").clean_up()
    assert stranger.poll() is None


def test_an_unlisted_process_is_spared(stranger: subprocess.Popen[bytes]) -> None:
    start = process_start_time(stranger.pid)
    register_with(
        f"+process {stranger.pid} {start}", f"-process {stranger.pid}", "-process 1"
    ).clean_up()
    assert stranger.poll() is None


def test_a_process_that_is_gone_is_no_problem() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait(30)
    assert process_start_time(done.pid) == UNKNOWN_START_TIME
    register_with(f"+process {done.pid} 1").clean_up()


def test_listed_directories_are_removed_and_others_are_not(tmp_path: Path) -> None:
    kept, removed, foreign = (
        tmp_path / name for name in ("redrepl-kept", "redrepl-rémoved x", "foreign")
    )
    for folder in (kept, removed, foreign):
        (folder / "deep").mkdir(parents=True)
    register_with(
        f"+directory {os.fsencode(kept).hex()}",
        f"+directory {os.fsencode(removed).hex()}",
        f"+directory {os.fsencode(foreign).hex()}",
        f"-directory {os.fsencode(kept).hex()}",
        f"-directory {os.fsencode(tmp_path / 'never-listed').hex()}",
    ).clean_up()
    # A directory whose name is not one of ours stays, even if it was listed.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "redrepl-kept"]


def test_removing_a_missing_directory_is_no_problem(tmp_path: Path) -> None:
    remove_directory(os.fsencode(tmp_path / "redrepl-missing"))


@needs_proc
@pytest.mark.servers
def test_a_server_that_was_never_listed_is_found_by_its_directory(
    server_binary: ServerBinary,
) -> None:
    with (
        EmbeddedServer(binary=server_binary) as unlisted,
        EmbeddedServer(binary=server_binary) as other,
    ):
        owned = unlisted.directory.parent
        register_with(f"+directory {os.fsencode(owned).hex()}").clean_up()
        wait_until(lambda: not unlisted.running)
        assert not owned.exists()
        assert other.running
