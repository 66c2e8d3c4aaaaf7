"""How the form of the source is counted (`python -m tests.tidy.form`)."""

from __future__ import annotations

import ast

import pytest

from tests.tidy.form import Form, Measured, branches, form_of, report, row
from tests.tidy.tree import PACKAGES, python_files

SMALL = '''"""The module."""

LIMIT = 3
"""Why."""


def first(a):  # noqa: ARG001
    """Returns nothing.

    Really.
    """
    x = (
        1,
    )

    # Because of that.
    return x  # or this


# Section -----------


async def second():
    pass
'''


def test_tokens_are_counted_without_docstrings_comments_and_layout() -> None:
    form = form_of(SMALL, "a.py")
    assert form.functions == [
        Measured("a.py:7", "first", 14, 0),
        Measured("a.py:23", "second", 7, 0),
    ]
    assert form.tokens == 3 + 14 + 7
    assert form.code_lines == 1 + 5 + 2


def test_blank_lines_are_those_between_the_lines_of_a_function() -> None:
    form = form_of(SMALL)
    assert (form.function_lines, form.blank_lines) == (7 + 2, 1)


def test_a_blank_line_within_a_string_is_none() -> None:
    assert form_of('def f():\n    x = """a\n\nb"""\n\n    return x\n').blank_lines == 1


def test_comments_are_those_that_tell_a_reader_something() -> None:
    form = form_of(SMALL)
    assert (form.comment_lines, form.lines) == (2, 15)


@pytest.mark.parametrize(
    ("comment", "counts"),
    [
        ("# because", True),
        ("#because", True),
        ("# type of a node", True),
        ("# noqa: E501", False),
        ("# type: ignore[arg-type]", False),
        ("# pragma: no cover", False),
        ("# ruff: noqa", False),
        ("#!/usr/bin/env python", False),
        ("# Opening ---------------", False),
        ("# ======", False),
    ],
)
def test_directives_and_rulers_are_no_comments(comment: str, counts: bool) -> None:
    assert form_of(f"{comment}\nx = 1\n").comment_lines == counts


def test_a_comment_in_a_string_is_none() -> None:
    assert form_of('x = "# because"\n').comment_lines == 0


def test_an_f_string_is_one_token() -> None:
    """Whatever the version of Python takes it apart into."""
    assert form_of("x = f'{a + b} {f(\"{c}\")!r:>{width}}'\n").tokens == 3
    assert form_of("x = f'{a}', b\n").tokens == 5


def test_a_function_within_another_counts_with_it_and_by_itself() -> None:
    form = form_of("def f():\n    def g():\n        return 1\n\n    return g\n")
    assert [(function.name, function.tokens) for function in form.functions] == [
        ("f", 14),
        ("g", 7),
    ]
    assert (form.function_lines, form.blank_lines) == (5, 1)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("return 1", 0),
        ("if a:\n        b\n    elif c:\n        d\n    else:\n        e", 2),
        ("for x in y:\n        while z:\n            pass", 2),
        (
            "try:\n        a\n    except A:\n        b\n    except B:\n        c\n    finally:\n  "
            "      d",
            2,
        ),
        ("match a:\n        case 1:\n            b\n        case _:\n            c", 2),
        ("return a if b else c", 1),
        ("return a and b or c", 0),
        ("return [x for x in y]", 0),
        ("return [x for x in y if x if z]", 2),
        ("with a:\n        assert b", 0),
        ("f = lambda x: 1 if x else 2", 1),
        ("def g():\n        if a:\n            b\n    if c:\n        d", 1),
        ("class C:\n        def g(self):\n            if a:\n                b", 0),
    ],
)
def test_branches_are_places_where_the_flow_forks(body: str, count: int) -> None:
    function = ast.parse(f"def f():\n    {body}\n").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert branches(function) == count


def _form(*tokens: int) -> Form:
    return Form(functions=[Measured("", "f", count, 0) for count in tokens])


@pytest.mark.parametrize(
    ("tokens", "share", "count"),
    [
        ((), 0.5, 0),
        ((7,), 0.9, 7),
        ((3, 1, 2), 0.5, 2),
        ((1, 2, 3, 4), 0.5, 2),
        (tuple(range(1, 11)), 0.9, 9),
    ],
)
def test_a_share_of_the_functions_has_so_many_tokens_at_most(
    tokens: tuple[int, ...], share: float, count: int
) -> None:
    assert _form(*tokens).tokens_at(share) == count


def test_files_are_added_up() -> None:
    total = form_of(SMALL)
    total.add(form_of(SMALL))
    assert len(total.functions) == 4
    assert (total.tokens, total.code_lines, total.lines, total.comment_lines) == (48, 16, 30, 4)
    assert (total.function_lines, total.blank_lines) == (18, 2)


def test_a_row_has_the_ratios() -> None:
    form = Form([Measured("", "f", 201, 11)], 30, 10, 50, 4, 200, 3)
    assert row("x", form).split() == ["x", "1", "201", "201", "201", "3.0", "8.0", "1.5", "1", "1"]
    assert row("none", Form()).split()[1:] == ["0", "0", "0", "0", "0.0", "0.0", "0.0", "0", "0"]


def test_the_report_has_every_folder_and_names_long_functions() -> None:
    lines = list(report(python_files(*PACKAGES.values())))
    first_words = [line.split()[0] for line in lines if line]
    assert {
        "redrepl/values",
        "redrepl/plans/epochs",
        "cli/redrepl_cli",
        "workers/redrepl_workers",
    } <= set(first_words)
    assert any(line.startswith("all of redrepl ") for line in lines)
