"""Options that every command takes, and what they say about how it was called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from redrepl import Configuration

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

DEBUG = "redrepl_cli.debug"
"""Where a context's meta notes that tracebacks are wanted."""

CONFIG_PATH = "redrepl_cli.config_path"
"""Where it notes the configuration file that was given before the command."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a command was called. ``config_path`` None: REDREPL_CONFIG, then ./redrepl.toml."""

    config_path: Path | None
    output_format: str

    @property
    def as_json(self) -> bool:
        """Whether JSON was asked for."""
        return self.output_format == "json"

    def configuration(self) -> Configuration:
        """The configuration. Raises ConfigError."""
        from redrepl import load_configuration  # imports redis, which help does without

        return load_configuration(self.config_path)


def common_options(command: Callable[Concatenate[Invocation, P], R]) -> Callable[P, R]:
    """Give a command `--config`, `--format` and `--debug`; it takes an `Invocation` first."""

    @wraps(command)
    def called(*args: P.args, **options: P.kwargs) -> R:
        shared: dict[str, Any] = {
            name: options.pop(name) for name in ("config_path", "output_format", "debug")
        }
        meta = click.get_current_context().meta
        meta[DEBUG] = shared["debug"]
        path = shared["config_path"] or meta.get(CONFIG_PATH)
        return command(Invocation(path, shared["output_format"]), *args, **options)

    decorated: Callable[P, R] = called
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def yes_option(command: F) -> F:
    """`--yes`, for commands that ask before they change something."""
    return click.option(
        "--yes", is_flag=True, help="Do not ask; needed where there is no terminal."
    )(command)


def log_level_option(command: F) -> F:
    """`--log-level`, for processes that run until they are stopped."""
    return click.option(
        "--log-level",
        type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
        default="INFO",
        show_default=True,
        help="What to log on standard error.",
    )(command)


_OPTIONS = (
    click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Configuration file [default: $REDREPL_CONFIG, then ./redrepl.toml].",
    ),
    click.option(
        "--format",
        "output_format",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="Form of the output.",
    ),
    click.option("--debug", is_flag=True, help="Show tracebacks of errors (also REDREPL_DEBUG=1)."),
)
