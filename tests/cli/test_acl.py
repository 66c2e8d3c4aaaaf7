"""`redrepl acl`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import redis

from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl.values.permissions import QueueNames, Role, node_rules, queue_rules
from tests.cli.conftest import Invoke
from tests.cli.support.results import json_of

ROLES = [role.value for role in Role]
FOR_SHOP = ("--cluster", "shop")


@pytest.mark.parametrize("role", ROLES)
def test_a_line_for_redis_cli_makes_the_login(role: str, invoke: Invoke) -> None:
    result = invoke("acl", "--role", role, *FOR_SHOP)
    rules = " ".join(node_rules(Role(role), "shop"))
    assert (result.exit_code, result.stdout) == (
        0,
        f"ACL SETUSER shop-{role} reset on >PASSWORD {rules}\n",
    )
    assert "replace PASSWORD by the password" in result.stderr
    result = invoke("acl", "--role", role, "--queue", *FOR_SHOP)
    rules = " ".join(queue_rules(Role(role), "shop", QueueNames(("redrepl-shop",))))
    assert result.stdout == f"ACL SETUSER shop-{role} reset on >PASSWORD {rules}\n"


def test_json_has_the_rules(invoke: Invoke) -> None:
    found = json_of(
        invoke("acl", "--role", "worker", "--user", "up", "--format", "json", *FOR_SHOP)
    )
    line = found.pop("line")
    assert found == {
        "schema_version": 1,
        "cluster": "shop",
        "role": "worker",
        "server": "nodes",
        "user": "up",
        "rules": ["on", ">PASSWORD", *node_rules(Role.WORKER, "shop")],
    }
    assert line == f"ACL SETUSER up reset {' '.join(found['rules'])}"


def test_what_the_configuration_says_counts(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "redrepl.toml"
    file.write_text(
        'cluster = "shop"\nqueue = "jobs"\nqueue_url = "redis://q/3"\n'
        '[[nodes]]\nid = "a"\nurl = "redis://h:1/2?client_name=shop"\nrole = "primary"\n'
    )
    rules = json_of(
        invoke("acl", "--role", "application", "--format", "json", "--config", str(file))
    )["rules"]
    assert {"+select", "+client|setname"} <= set(rules)
    rules = json_of(
        invoke("acl", "--role", "worker", "--queue", "--format", "json", "--config", str(file))
    )["rules"]
    assert {"+select", "~rq:queue:jobs", "~rq:queue:redrepl-shop"} <= set(rules)
    assert "+client|setname" not in rules


def test_a_password_is_never_shown(invoke: Invoke, tmp_path: Path) -> None:
    (file := tmp_path / "password").write_text("hunter2\n")
    result = invoke("acl", "--role", "read-only", "--password-file", str(file), *FOR_SHOP)
    assert "hunter2" not in result.output
    assert f" on #{hashlib.sha256(b'hunter2').hexdigest()} " in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing option '--role'"),
        (("--role", "admin"), "'admin' is not one of"),
        (("--role", "worker", "--user", "a b"), "no name for a login"),
        (
            ("--role", "worker", "--password-file", "/no/such"),
            "--password-file /no/such: No such file",
        ),
        (("--role", "worker", "--cluster", "a*"), "--cluster must have"),
    ],
)
def test_impossible_arguments(arguments: tuple[str, ...], message: str, invoke: Invoke) -> None:
    result = invoke("acl", *FOR_SHOP, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_servers_take_both_forms(any_binary: ServerBinary, invoke: Invoke, tmp_path: Path) -> None:
    """Every line by ACL SETUSER, and all lines together as a file: both make the same logins."""
    (password := tmp_path / "password").write_text("secret")
    given = ("--password-file", str(password), *FOR_SHOP)
    kinds = [(role, place) for role in ROLES for place in ((), ("--queue",))]
    (file := tmp_path / "users.acl").write_text(
        "".join(
            invoke(
                "acl", "--role", role, *place, "--user", f"u{n}", "--form", "file", *given
            ).stdout
            for n, (role, place) in enumerate(kinds)
        )
        + "user default on nopass ~* &* +@all\n"
    )
    extra = ("--aclfile", str(file))
    with (
        EmbeddedServer("a", any_binary, extra_arguments=extra) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        for number, (role, place) in enumerate(kinds):
            line = invoke("acl", "--role", role, *place, "--user", f"v{number}", *given).stdout
            client.execute_command(*line.split())
            assert client.acl_getuser(f"v{number}") == client.acl_getuser(f"u{number}")
        with redis.Redis.from_url(server.url.replace("://", "://v0:secret@")) as application:
            assert application.ping()
