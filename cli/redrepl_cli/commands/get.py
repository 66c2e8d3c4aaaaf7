"""`redrepl get`."""

from __future__ import annotations

import click

from redrepl import Coordinator, FoundRecord, ReadPreference
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import say, write_json, write_value
from redrepl_cli.parameters import level_option, timeout_for, timeout_option
from redrepl_cli.text import argument_key, decoded, printable


@click.command
@click.argument("key")
@level_option
@click.option(
    "--prefer",
    type=click.Choice([preference.value for preference in ReadPreference]),
    default=ReadPreference.PRIMARY.value,
    show_default=True,
    help="Which copy answers at level one.",
)
@timeout_option
@common_options
def get(
    invocation: Invocation, key: str, level: str | None, prefer: str, timeout_seconds: float | None
) -> ExitCode:
    """Read the value of KEY.

    A pipe or a file receives exactly the bytes of the value; a terminal receives them with a
    newline, and with control characters escaped. An absent key: exit code 1. The level defaults to
    one: one copy answers.

    \b
    Examples: redrepl get user:1
              redrepl get user:1 --level quorum --format json
              redrepl get picture > picture.png
    """
    with Coordinator[str, bytes](invocation.configuration()) as coordinator:
        timeout = timeout_for(coordinator, timeout_seconds)
        found = coordinator.get_record(
            argument_key(key), level=level or "one", prefer=prefer, timeout_seconds=timeout
        )
    if invocation.as_json:
        write_json(_as_json(key, found))
    elif found is not None:
        write_value(found.value)
    if found is None:
        say(f"error: key {printable(key)!r} is absent")
        return ExitCode.ERROR
    return ExitCode.DONE


def _as_json(key: str, found: FoundRecord[bytes] | None) -> dict[str, object]:
    shown_key, _ = decoded(key)
    content: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "key": shown_key,
        "found": found is not None,
    }
    if found is None:
        return content | dict.fromkeys(("value", "encoding", "stamp", "expires_at", "node"))
    value, encoding = decoded(found.value)
    return content | {
        "value": value,
        "encoding": encoding,
        "stamp": str(found.stamp),
        "expires_at": found.expires_at,
        "node": found.node,
    }
