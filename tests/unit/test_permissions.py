"""Each role's login gets what its scripts and commands need, and nothing besides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redrepl.edges.denials import describe_denial
from redrepl.edges.job_queue import queue_prefix, queue_script
from redrepl.edges.scripts import all_scripts
from redrepl.values.effects import PlainCommand, ScriptCall
from redrepl.values.keys import literal
from redrepl.values.permissions import (
    CONNECTING,
    ROLE_COMMANDS,
    ROLE_SCRIPTS,
    SCRIPT_COMMANDS,
    STORING,
    QueueNames,
    Role,
    node_grants,
    node_rules,
    queue_grants,
    queue_rules,
)
from redrepl.values.reasons import advice_on, is_denial, is_refusal, refuses_us
from tests.support.script_commands import commands_called

PLANS = Path(__file__).parents[2] / "redrepl/plans"
NAMES = QueueNames(("redrepl-shop",))
IN_GENERAL = ("view.py", "inspect.py")
"""Modules with calls that other plans make."""

OF_PROGRAMS = ("operations", "inspect.py", "scan.py", "topology.py", "status.py")
SENDERS = {
    Role.APPLICATION: OF_PROGRAMS,
    Role.READ_ONLY: OF_PROGRAMS,
    Role.WORKER: ("copies", "epochs", "inspect.py", "scan.py", "topology.py"),
    Role.OPERATOR: ("",),
}
"""Which plans a role's programs run: folders and modules."""

MADE_BY = {"read_many": "read_call", "change_member": "change_call"}
"""How scripts are called whose calls bear another name."""


def texts_of(role: Role) -> str:
    """The source of the plans that programs of a role run."""
    files = [
        file
        for name in SENDERS[role]
        for file in sorted([PLANS / name, *(PLANS / name).rglob("*.py")])
    ]
    text = "\n".join(file.read_text("utf-8") for file in files if file.is_file())
    return text.replace('errors="replace"', "").replace('"utf-8", "replace"', "")


def runs(text: str, script: str) -> bool:
    """Whether plans run a script."""
    return (
        re.search(rf'"{script}(_oom)?"|\b{MADE_BY.get(script, f"{script}_call")}\(', text)
        is not None
    )


def test_what_scripts_call_is_what_the_table_says() -> None:
    named = {name: set(commands.split()) for name, commands in SCRIPT_COMMANDS.items()}
    assert {name.removesuffix("_oom") for name in all_scripts()} == named.keys()
    called = {name: commands_called(script.source) for name, script in all_scripts().items()}
    assert called == {name: named[name.removesuffix("_oom")] for name in all_scripts()}


@pytest.mark.parametrize("role", Role)
def test_a_role_has_the_scripts_that_its_plans_run_and_no_others(role: Role) -> None:
    text = texts_of(role)
    assert {script for script in ROLE_SCRIPTS[role] if not runs(text, script)} == set()
    others = SCRIPT_COMMANDS.keys() - ROLE_SCRIPTS[role]
    writes = {script for script in others if set(SCRIPT_COMMANDS[script].split()) & STORING}
    left = {
        script
        for script in (others - writes if role is Role.READ_ONLY else others)
        if runs(text, script)
    }
    assert left == set()


@pytest.mark.parametrize("role", Role)
def test_a_role_has_the_commands_that_its_plans_send_and_no_others(role: Role) -> None:
    text = texts_of(role) + (PLANS / "view.py").read_text("utf-8")
    sent = {
        f"client|{found[2].lower()}" if found[2] else found[1].lower()
        for found in re.finditer(r'PlainCommand\(\(b"(\w+)"(?:, b"(KILL)")?', text)
    } | {found[1].lower() for found in re.finditer(r'_range\(layout, b"(\w+)"', text)}
    own = set(ROLE_COMMANDS[role].split())
    if role is Role.READ_ONLY:
        sent -= {"client|kill"}  # programs that write alone have connections that must be cut off
    if role is Role.WORKER:
        sent -= {"mget"}  # reads of programs
    assert own == sent - set(CONNECTING.split())


def test_every_connection_is_opened_with_what_is_said_to_be_needed() -> None:
    text = (PLANS.parent / "edges/introduction.py").read_text("utf-8")
    said = re.findall(r'\(b"(\w+)"(?:, b"(ID|EXISTS|LOAD)")?', text)
    needed = {f"{first}|{second}" if second else first for first, second in said} - {
        "AUTH",
        "CLIENT",
        "SELECT",
    }
    assert {each.lower() for each in needed} | {"evalsha", "ping"} == set(CONNECTING.split())


@pytest.mark.parametrize("role", Role)
def test_every_right_is_one_of_a_script_or_a_command(role: Role) -> None:
    first, *others = node_grants(role, "shop")
    needed = {
        command for script in ROLE_SCRIPTS[role] for command in SCRIPT_COMMANDS[script].split()
    }
    needed |= {*CONNECTING.split(), *ROLE_COMMANDS[role].split()}
    if role is Role.READ_ONLY:
        needed -= STORING
    assert set(first.commands) == needed - {"hsetnx"}
    assert {command for grant in others for command in grant.commands} <= needed


@pytest.mark.parametrize("role", Role)
def test_only_an_operators_login_adds_to_the_list_of_clusters_and_none_changes_it(
    role: Role,
) -> None:
    on_it = [
        grant
        for grant in node_grants(role, "shop")
        if any("redrepl:clusters" in key for key in grant.keys)
    ]
    stored = {command for grant in on_it for command in grant.commands} & STORING
    assert stored == ({"hsetnx"} if role is Role.OPERATOR else set())


def test_a_login_that_reads_has_no_command_that_stores() -> None:
    grants = [*node_grants(Role.READ_ONLY, "shop"), *queue_grants(Role.READ_ONLY, "shop", NAMES)]
    assert {command for grant in grants for command in grant.commands} & STORING == set()
    assert "%R~shop:*" in node_rules(Role.READ_ONLY, "shop")


def test_other_databases_and_names_of_connections_need_a_right() -> None:
    for of_connection in (False, True):
        nodes = node_grants(Role.WORKER, "shop", of_connection, of_connection)
        queue = queue_grants(Role.WORKER, "shop", NAMES, of_connection, of_connection)
        for first in (nodes[0], queue[0]):
            assert ({"select", "client|setname"} & set(first.commands) != set()) is of_connection


def test_patterns_match_the_names_alone() -> None:
    assert literal("a*b?[c]^\\") == r"a\*b\?\[c\]\^\\"
    assert r"~s\*p:*" in node_rules(Role.APPLICATION, "s*p")
    assert r"~rq:queue:q\*" in queue_rules(Role.APPLICATION, "shop", QueueNames(("q*",)))
    assert "~rq:job:redrepl-4-shop-*" in queue_rules(Role.APPLICATION, "shop", NAMES)


def test_the_queues_scripts_call_what_those_roles_may() -> None:
    assert queue_prefix() == NAMES.prefix
    for script, role in (
        ("take_job", Role.WORKER),
        ("take_job", Role.OPERATOR),
        ("list_jobs", Role.OPERATOR),
    ):
        called = commands_called(queue_script(script))
        if role is Role.OPERATOR:
            called -= {"expire", "hset"}  # it only looks
        allowed = [
            grant
            for grant in queue_grants(role, "shop", NAMES)
            if "~rq:job:redrepl-4-shop-*" in grant.keys
        ]
        assert called <= {command for grant in allowed for command in grant.commands}


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        ("NOPERM this user has no permissions to run the 'mget' command", "lacks +mget:"),
        ("NOPERM User x has no permissions to run the 'mget' command", "lacks +mget:"),
        (
            "NOPERM this user has no permissions to access one of the keys used as arguments",
            "the right to a key of MGET",
        ),
        ("NOPERM No permissions to access a key", "lacks the right to a key of MGET"),
    ],
)
def test_a_denied_command_is_named_with_the_login(said: str, lacks: str) -> None:
    told = describe_denial("x", PlainCommand((b"MGET", b"k")), said)
    assert told.startswith("NOPERM login 'x' ")
    assert lacks in told
    assert "redrepl acl --role" in told
    assert is_denial(told)
    assert is_refusal(told)
    assert refuses_us(told)
    assert "redrepl acl --role" in (advice_on({"a": told}) or "")


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        (
            "ERR The user executing the script can't run this command or subcommand script: "
            "0123456789012345678901234567890123456789, on @user_script:1.",
            "lacks one of +exists +hget +xinfo +xrange, for the script log_page: The user "
            "executing the script can't "
            "run this command",
        ),
        (
            "ERR ACL failure in script: User x has no permissions to run the 'hget' command "
            "script: on @user_script:9.",
            "lacks +hget, for the script log_page: User x has no permissions to run the 'hget' "
            "command; ",
        ),
        (
            "ERR ACL failure in script: No permissions to access a key script: on @user_script:1.",
            "a key of the script log_page",
        ),
    ],
)
def test_what_is_denied_in_a_script_is_named_as_far_as_the_server_tells(
    said: str, lacks: str
) -> None:
    told = describe_denial(None, ScriptCall("log_page", (), ()), said)
    assert told.startswith("NOPERM login 'default' lacks ")
    assert lacks in told
    assert is_refusal(told)


def test_other_errors_stay_as_they_are() -> None:
    for said in (
        "OOM command not allowed",
        "ERR named in the change log, but not stored: NOPERM",
        "NOAUTH no",
    ):
        assert describe_denial("x", ScriptCall("write", (), ()), said) == said
