"""Writes the API reference: one HTML page of all public names, made from their docstrings.

`make reference` calls it with the folder to write into. What pdoc cannot read is an error.
"""

from __future__ import annotations

import re
import sys
import typing
import warnings
from pathlib import Path

import jinja2
import pdoc

import redrepl

ARGUMENT = re.compile(r"^(?P<names>[a-z]\w*(?:, [a-z]\w*)*): ", re.MULTILINE)
"""The beginning of what a docstring says of an argument, or of several."""

_to_markdown = pdoc.render.env.filters["to_markdown"]


def as_list(docstring: str) -> str:
    """A docstring in which what it says of arguments is a list, as Markdown has it."""
    text = docstring.replace("::\n", ":\n")
    first = ARGUMENT.search(text)
    if first is None:
        return text
    items = ARGUMENT.sub(lambda found: f"- **{found['names']}**: ", text[first.start() :])
    return f"{text[: first.start()]}\n{items}"


@jinja2.pass_context
def to_markdown(context: jinja2.runtime.Context, docstring: str) -> str:
    """What pdoc's templates call for each docstring."""
    converted: str = _to_markdown(context, as_list(docstring))
    return converted


def resolve_annotations() -> None:
    """Name the types of named tuples' fields: pdoc looks for them where they are not defined."""
    for name in redrepl.__all__:
        public = getattr(redrepl, name)
        if isinstance(public, type) and hasattr(public, "_fields"):
            public.__new__.__annotations__ = typing.get_type_hints(public)


def render(folder: Path) -> None:
    """Write the reference into a folder. Raises a warning of pdoc as an error."""
    resolve_annotations()
    pdoc.render.env.filters["to_markdown"] = to_markdown
    pdoc.render.configure(docformat="markdown", show_source=False, search=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pdoc.pdoc("redrepl", output_directory=folder)


if __name__ == "__main__":
    render(Path(sys.argv[1]))
