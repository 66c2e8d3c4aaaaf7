"""The one place where errors become text and exit codes: what happened, where, and what to do."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import click

from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.output import say

if TYPE_CHECKING:
    from redrepl import RedreplError


class CommandFailed(Exception):
    """A command cannot go on; ``advice`` says what to do."""

    def __init__(
        self,
        message: str,
        exit_code: ExitCode,
        advice: str | None = None,
        evidence: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.advice = advice
        self.evidence = dict(evidence or {})


WHAT_TO_DO = ". What to do: "
"""Between what happened and the advice, in messages of the library that carry one."""


class Description(NamedTuple):
    """What the person is told about an error."""

    exit_code: ExitCode
    message: str
    evidence: Mapping[str, str]
    advice: str | None


def report(error: BaseException, debug: bool) -> ExitCode:
    """Tell the person about an error on standard error; answers the exit code."""
    if isinstance(error, (KeyboardInterrupt, EOFError, click.Abort)):
        say("\nstopped")
        return ExitCode.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        silence_output()
        return ExitCode.BROKEN_PIPE
    if debug or os.environ.get("REDREPL_DEBUG", "0") not in ("", "0"):
        from redrepl_cli.text import printable

        say(printable("".join(traceback.format_exception(error)).rstrip(), keep="\n"))
    found = describe(error)
    show(found.message, found.evidence, found.advice)
    return found.exit_code


def show(message: str, evidence: Mapping[str, str], advice: str | None) -> None:
    """An error's text: the message, then per node what is known, then the advice."""
    from redrepl_cli.text import printable

    say(f"error: {printable(message, keep=chr(10))}")
    for node, what in sorted(evidence.items()):
        say(f"  {node}: {printable(what)}")
    if advice:
        say(f"try: {advice}")


def describe(error: BaseException) -> Description:
    """What to say about an error, by its kind."""
    if isinstance(error, CommandFailed):
        return Description(error.exit_code, error.message, error.evidence, error.advice)
    if _is_from("redrepl.values.errors", error):
        return _describe_library_error(error)
    if _is_from("redrepl.embedded.errors", error):
        return Description(ExitCode.ERROR, str(error), {}, None)
    if _is_from("redis.exceptions", error):
        return Description(
            ExitCode.UNAVAILABLE, f"the queue's Redis: {error}", {}, _queue_advice(error)
        )
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("redrepl"):
        return Description(
            ExitCode.ERROR,
            f"this installation of redrepl lacks {error.name}",
            {},
            "reinstall redrepl",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        return Description(
            ExitCode.ERROR, f"what was to be written finds no room: {error.strerror}", {}, None
        )
    if isinstance(error, OSError):
        return Description(ExitCode.ERROR, str(error), {}, None)
    advice = "run it again with --debug and report what it shows: this is a mistake in redrepl"
    return Description(ExitCode.ERROR, f"unexpected {type(error).__name__}: {error}", {}, advice)


def _is_from(module: str, error: BaseException) -> bool:
    """Whether the error, or what it derives from, is defined in this module; imports nothing."""
    return any(kind.__module__ == module for kind in type(error).__mro__)


def _describe_library_error(error: BaseException) -> Description:
    from redrepl.values import errors

    assert isinstance(error, errors.RedreplError)
    code, advice = ExitCode.ERROR, None
    if isinstance(error, errors.RequestError):
        message, _, said = error.message.partition(WHAT_TO_DO)
        return Description(ExitCode.USAGE, message, error.evidence, said or None)
    if isinstance(error, errors.WriteRejected):
        code, advice = ExitCode.UNAVAILABLE, f"{_advice_on(error)}; the write had no effect"
    elif isinstance(error, errors.ClockSkew):
        advice = (
            "synchronise the clocks of the machines (NTP), then look with `redrepl get` what stands"
        )
    elif isinstance(error, errors.WriteFailure):
        code, advice = (
            ExitCode.UNAVAILABLE,
            "`redrepl get` shows what stands, `redrepl status` which copies are missing",
        )
    elif isinstance(error, errors.Unavailable):
        return _describe_unavailable(error)
    return Description(code, error.message, error.evidence, advice)


def _advice_on(error: RedreplError) -> str:
    """What to do about what single nodes said, or where to look."""
    from redrepl.values.reasons import advice_on

    return advice_on(error.evidence) or "`redrepl status` shows what is wrong with each node"


def _queue_advice(error: BaseException) -> str:
    """What to do about the queue's Redis, by the kind of error."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "NoPermissionError" in kinds:
        return (
            "give the login in queue_url the permissions that `redrepl acl --role ROLE "
            "--queue` prints"
        )
    if "AuthenticationError" in kinds:
        return "correct the login in queue_url"
    if "TimeoutError" in kinds:
        return (
            "see whether its machine can be reached from here, and whether the server is "
            "frozen or busy"
        )
    if "ConnectionError" in kinds:
        return "start it, or correct queue_url"
    return "see to it that it takes commands and writes; the workers' tick does the work until then"


def _describe_unavailable(error: RedreplError) -> Description:
    """Nodes that are needed are not there: what to do stands in the message, or follows from what
    each answered.
    """
    message, _, advice = error.message.partition(WHAT_TO_DO)
    if not advice and "`redrepl " not in message:
        advice = _advice_on(error)
    return Description(ExitCode.UNAVAILABLE, message, error.evidence, advice or None)


def silence_output() -> None:
    """After the reader of a pipe went away: what is still buffered must not complain at the end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return  # not a real file: there is nothing to complain
