"""Planted bugs find their places, also after the library was rewritten around them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.faults.places import Library, PlaceNotFound
from tests.faults.planting import ALWAYS, NEVER, REMOVED, Edit, Mutant

PATH = "redrepl/sync/copier.py"

SOURCE = """
from typing import Final

from redrepl.asking import Refused, ask, note

LIMIT: Final = 100

class Copier:
    names = ("a", "b", "c")

    def take(self, node, records, limit=LIMIT):
        for record in records:
            if record.stamp > self.newest and len(records) < limit:
                self.send(node, record, fresh=True, late=False)
        try:
            return ask(node)
        except Refused as error:
            note(error)

    @property
    def size(self):
        return 1

    @size.setter
    def size(self, value):
        self.kept = value

def close(node):
    node.close()
"""


def edited(old: str, new: str, place: str = "Copier.take", source: str = SOURCE) -> str:
    """The file after one edit, as Python writes it."""
    return Edit(place, old, new).made(Library({PATH: source})).texts[PATH]


def expected(before: str, after: str, source: str = SOURCE) -> str:
    """The file after a replacement of text, as Python writes it."""
    assert source.count(before) == 1
    return ast.unparse(ast.parse(source.replace(before, after))) + "\n"


# What a bug can be. ------------------------------------------------------------------------------


SEND = "self.send(node, record, fresh=True, late=False)"
CONDITION = "record.stamp > self.newest and len(records) < limit"
NOTE = "note(error)"
OF_REFUSED, OF_ALL = "except Refused as error:", "except OSError:"
BUGS = {
    "an expression": ("ask(node)", "None", "ask(node)", "None"),
    "never": ("record.stamp > self.newest", NEVER, "record.stamp > self.newest", "False"),
    "always": ("ask(...)", ALWAYS, "ask(node)", "True"),
    "a statement": ("return ask(node)", "raise", "return ask(node)", "raise"),
    "one statement more": (NOTE, f"{NOTE}\nraise", NOTE, f"{NOTE}; raise"),
    "another call": ("self.send(...)", "note(...)", "self.send", "note"),
    "no statement": ("self.send(...)", REMOVED, SEND, "pass"),
    "no operand": ("len(...) < limit", REMOVED, " and len(records) < limit", ""),
    "no keyword argument": ("fresh=True", REMOVED, "fresh=True, ", ""),
    "a keyword argument": ("fresh=True", "fresh=False", "fresh=True", "fresh=False"),
    "an except clause": ("except Refused as error: ...", "except OSError: ...", OF_REFUSED, OF_ALL),
    "the head of a statement": (f"if {CONDITION}: ...", "if limit: ...", CONDITION, "limit"),
}


@pytest.mark.parametrize(("old", "new", "before", "after"), BUGS.values(), ids=BUGS)
def test_one_piece_of_code_becomes_another(old: str, new: str, before: str, after: str) -> None:
    assert edited(old, new) == expected(before, after)


def test_a_constant_or_an_element_of_it_is_changed() -> None:
    assert edited("LIMIT: Final = 100", "LIMIT: Final = 1", "LIMIT") == expected("= 100", "= 1")
    assert edited("'a'", REMOVED, "Copier.names") == expected('"a", ', "")


def test_an_entry_of_a_dictionary_goes_with_its_key() -> None:
    source = "def fields():\n    return {'a': first(), 'b': second()}\n"
    wanted = "def fields():\n    return {'b': second()}\n"
    assert edited("first()", REMOVED, "fields", source) == wanted


def test_an_inner_block_is_kept_where_only_its_head_is_named() -> None:
    head = "for record in records:"
    assert edited("for record in records: ...", "while records: ...") == expected(
        head, "while records:"
    )


def test_all_parts_of_a_property_are_one_place() -> None:
    assert edited("self.kept = value", REMOVED, "Copier.size") == expected(
        "self.kept = value", "pass"
    )
    assert edited("return 1", "return 2", "Copier.size") == expected("return 1", "return 2")


def test_a_bug_may_have_several_changes() -> None:
    also = (Edit("close", "node.close()", REMOVED),)
    mutant = Mutant("two places", "Copier.take", "ask(node)", "None", "no test", "none", also=also)
    planted = mutant.planted(Library({PATH: SOURCE}))
    assert planted == {PATH: edited("ask(node)", "None", source=expected("node.close()", "pass"))}


# What may be rewritten. -------------------------------------------------------------------------


def test_the_layout_does_not_matter() -> None:
    wide = SOURCE.replace(
        "self.send(node, record, fresh=True, late=False)",
        "self.send(\nnode, record, fresh=True,\nlate=False,)  # why",
    )
    old = "self.send(node,\n  record, fresh = True, late=False)"
    assert edited(old, REMOVED, source=wide) == edited(old, REMOVED)


def test_the_file_does_not_matter() -> None:
    elsewhere = "redrepl/data/here.py"
    library = Library({"redrepl/other.py": "def ask(node): ...\n", elsewhere: SOURCE})
    changed = Edit("Copier.take", "ask(node)", "None").made(library)
    assert changed.texts[elsewhere] == edited("ask(node)", "None")


def test_variables_that_were_renamed_are_found_and_renamed_in_what_is_planted() -> None:
    old, new = "len(records) < limit", "len(records) < limit + len(records)"
    source = re.sub(r"\brecords\b", "batch", SOURCE).replace("limit", "most")
    assert edited(old, new, source=source) == expected("< most", "< most + len(batch)", source)


def test_a_variable_that_is_still_there_is_not_taken_for_another() -> None:
    source = SOURCE.replace("ask(node)", "ask(limit)")
    with pytest.raises(PlaceNotFound, match=r"'ask\(node\)' is found 0 times in Copier.take"):
        edited("ask(node)", "None", source=source)


def test_two_variables_are_not_taken_for_one() -> None:
    source = "def swap(a, b):\n    return put(a, a)\n"
    with pytest.raises(PlaceNotFound, match="found 0 times"):
        edited("put(first, second)", "None", "swap", source)
    assert edited("put(first, first)", "None", "swap", source) == source.replace(
        "put(a, a)", "None"
    )


def test_functions_that_are_called_are_no_variables() -> None:
    with pytest.raises(PlaceNotFound, match="found 0 times"):
        edited("ask(node)", "None", source=SOURCE.replace("ask(node)", "tell(node)"))


def test_other_arguments_do_not_matter_where_the_call_alone_is_named() -> None:
    source = SOURCE.replace("ask(node)", "ask(node, self.newest, late=True)")
    assert edited("ask(...)", "None", source=source) == edited("ask(...)", "None")


# What must be noticed. --------------------------------------------------------------------------


def test_code_that_is_there_twice_is_no_place() -> None:
    source = SOURCE.replace("note(error)", "return ask(node)")
    with pytest.raises(PlaceNotFound, match=r"found 2 times in Copier.take"):
        edited("ask(node)", "None", source=source)


def test_code_that_is_gone_is_told_with_what_is_there() -> None:
    with pytest.raises(PlaceNotFound, match=r"nearest: \['record.stamp > self.newest'"):
        edited("record.stamp > self.latest", NEVER)


def test_a_function_that_is_gone_is_told_with_those_of_its_name() -> None:
    with pytest.raises(PlaceNotFound, match=r"no 'Sender.take'; meant is perhaps .*Copier.take"):
        edited("ask(node)", "None", "Sender.take")


def test_a_name_in_several_files_is_no_place_until_one_of_them_is_named() -> None:
    other = "def close(node):\n    return node.close()\n"
    library = Library({PATH: SOURCE, "workers/tick.py": other})
    both = r"name one of them: redrepl.sync.copier.close, workers.tick.close"
    with pytest.raises(PlaceNotFound, match=both):
        Edit("close", "node.close()", "node").made(library)
    changed = Edit("tick.close", "node.close()", "node").made(library)
    assert changed.texts["workers/tick.py"] == other.replace(".close()", "")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("ask(node)", "ask( node )", "nothing changes"),
        ("ask(node)", "ask(nodes)", "nothing there is called 'nodes'"),
        ("return ask(node)", "break", "no Python any more"),
        ("ask(node)", "ask(", "found 0 times"),
        ("ask(...)", "note(..., ...)", "2 times `...`"),
    ],
)
def test_what_makes_no_sense_there_is_told(old: str, new: str, why: str) -> None:
    with pytest.raises(PlaceNotFound, match=re.escape(why)):
        edited(old, new)


def test_what_has_to_be_there_cannot_be_removed() -> None:
    with pytest.raises(PlaceNotFound, match=r"'record.stamp' cannot be removed"):
        edited("record.stamp", REMOVED)


# Scripts. ---------------------------------------------------------------------------------------

SCRIPTS = {"redrepl/lua/write.lua": "local a = 1\n  if a   == 1 then\n    return a\n  end\n"}


def test_white_space_of_scripts_does_not_matter() -> None:
    changed = Edit("write.lua", "if a == 1 then return a end", "return 2").made(Library(SCRIPTS))
    assert changed.texts["redrepl/lua/write.lua"] == "local a = 1\n  return 2\n"


def test_text_of_a_script_that_is_not_there_once_is_told() -> None:
    for old, times in (("return b", 0), ("a", 4)):
        with pytest.raises(PlaceNotFound, match=f"found {times} times in write.lua"):
            Edit("write.lua", old, "b").made(Library(SCRIPTS))
    with pytest.raises(PlaceNotFound, match=r"0 scripts are called 'read.lua'"):
        Edit("read.lua", "a", "b").made(Library(SCRIPTS))


# In a copy of the repository. ---------------------------------------------------------------------


def test_a_mutant_without_a_place_says_which_it_is(tmp_path: Path) -> None:
    (tmp_path / "redrepl").mkdir()
    (tmp_path / "redrepl" / "library.py").write_text("def old(): ...\n")
    mutant = Mutant("old news", "old", "last_year()", NEVER, "no test", "none")
    with pytest.raises(PlaceNotFound, match=r"'old news': 'last_year\(\)' is found 0 times in old"):
        mutant.plant(tmp_path)


def test_a_mutant_is_written_into_the_copy(tmp_path: Path) -> None:
    (tmp_path / "redrepl").mkdir()
    (tmp_path / "redrepl" / "library.py").write_text("def serves():\n    return fits()\n")
    Mutant("a bug", "library.serves", "fits()", ALWAYS, "no test", "none").plant(tmp_path)
    assert (tmp_path / "redrepl" / "library.py").read_text() == "def serves():\n    return True\n"
