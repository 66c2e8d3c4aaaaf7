"""Passwords: where they come from, and that they show nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from redrepl.edges.configuration import Configuration, load_configuration
from redrepl.edges.endpoint import split_url
from redrepl.values.errors import ConfigError
from redrepl.values.node_url import public_url

SECRET = "s3cr3t-word"


def _load(
    tmp_path: Path, *lines: str, url: str = "redis://h:1/0", **environment: str
) -> Configuration:
    file = tmp_path / "redrepl.toml"
    node = ["[[nodes]]", 'id = "a"', f'url = "{url}"', 'role = "primary"', *lines]
    file.write_text("\n".join(['cluster = "shop"', *node]), encoding="utf-8")
    return load_configuration(file, environment)


def test_a_password_from_the_environment(tmp_path: Path) -> None:
    found = _load(
        tmp_path, 'password_env = "MINE"', 'username = "ada"', MINE=SECRET, REDREPL_PASSWORD="other"
    )
    assert (found.endpoints[0].username, found.endpoints[0].password) == ("ada", SECRET)
    with pytest.raises(ConfigError, match=r"nodes\[1\]\.password_env: the environment has no MINE"):
        _load(tmp_path, 'password_env = "MINE"')


def test_a_password_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    found = _load(tmp_path, f'password_file = "{tmp_path / "secret"}"')
    assert found.endpoints[0].password == SECRET
    with pytest.raises(ConfigError, match=r"nodes\[1\]\.password_file .*missing: No such file"):
        _load(tmp_path, f'password_file = "{tmp_path / "missing"}"')


def test_a_password_file_of_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="password_file"):
        _load(tmp_path, f'password_file = "{tmp_path / "secret"}"')


def test_one_password_for_all_nodes(tmp_path: Path) -> None:
    assert _load(tmp_path, REDREPL_PASSWORD=SECRET).endpoints[0].password == SECRET


def test_a_password_in_the_url_goes_to_the_login_alone(tmp_path: Path) -> None:
    found = _load(tmp_path, url=f"redis://ada:{SECRET}@h:1/0")
    endpoint = found.endpoints[0]
    assert (endpoint.url, endpoint.username, endpoint.password) == ("redis://h:1/0", "ada", SECRET)
    assert (
        _load(tmp_path, url=f"redis://:{SECRET}@h:1/0", REDREPL_PASSWORD="other")
        .endpoints[0]
        .password
        == "other"
    )


@pytest.mark.parametrize(
    "url",
    [
        f"redis://ada:{SECRET}@h:1/0",
        f"rediss://:{SECRET}@h:1/0",
        f"unix://ada:{SECRET}@/tmp/socket",
        f"redis://h:1/0?password={SECRET}",
    ],
)
def test_a_secret_shows_nowhere(tmp_path: Path, url: str) -> None:
    found = _load(tmp_path, url=url, REDREPL_QUEUE_URL=url)
    assert found.endpoints[0].password == SECRET
    for shown in (
        repr(found),
        str(found),
        repr(found.members),
        found.topology().encode(),
        public_url(url),
    ):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "url",
    [
        f"http://ada:{SECRET}@h:1/0",
        f"redis://ada:{SECRET}@h:port/0",
        f"ada:{SECRET}@h:1",
        f"redis://ada:{SECRET}@[::1/0",
    ],
)
def test_a_wrong_url_is_named_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="node 'a'") as caught:
        split_url("a", url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("valkey://ada@h", "valkey://h"),
        ("redis://ada:x@h:1/0", "redis://h:1/0"),
        ("redis://:x@h:1/0", "redis://h:1/0"),
        ("redis://ada:x%40y@h:1/0", "redis://h:1/0"),
        ("redis://ada:x@y@h:1", "redis://h:1"),
        ("redis://h?db=3&password=x", "redis://h/3"),
        ("redis://h:1/2?db=3", "redis://h:1/3"),
        ("rediss://[::1]:7/0?ssl_keyfile=/k&ssl_certfile=/c&ssl_password=x", "rediss://[::1]:7/0"),
        ("unix://ada:x@/run/redis.sock?db=2&client_name=x", "unix:///run/redis.sock?db=2"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://:x/y@h:1/0", "unreadable"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert public_url(url) == shown


KEY = f"{SECRET}-of-the-queue"


def test_the_queues_key_comes_from_the_environment_or_a_file_and_shows_nowhere(
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    named = {"REDREPL_QUEUE_KEY_FILE": str(tmp_path / "key")}
    for environment in ({"REDREPL_QUEUE_KEY": KEY}, named, {**named, "REDREPL_QUEUE_KEY": KEY}):
        found = _load(tmp_path, **environment)
        assert found.queue_key == KEY
        assert KEY not in repr(found)
    assert _load(tmp_path).queue_key == ""
    with pytest.raises(ConfigError, match=r"queue_key_file .*missing: No such file"):
        _load(tmp_path, REDREPL_QUEUE_KEY_FILE=str(tmp_path / "missing"))


def test_a_queue_key_that_cannot_be_one_is_not_echoed(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for environment in (
        {"REDREPL_QUEUE_KEY": SECRET},
        {"REDREPL_QUEUE_KEY_FILE": str(tmp_path / "empty")},
    ):
        with pytest.raises(
            ConfigError, match="queue_key must have at least 16 characters"
        ) as caught:
            _load(tmp_path, **environment)
        assert SECRET not in str(caught.value)
    file = tmp_path / "redrepl.toml"
    file.write_text(f"queue_key = 1234567890123456\n{file.read_text()}")
    with pytest.raises(ConfigError, match="queue_key must be a string") as caught:
        load_configuration(file, {})
    assert "1234" not in str(caught.value)
