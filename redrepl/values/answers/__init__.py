"""What our scripts return: which answers can be ours (`shapes`), and what they mean as types.

There is one parser for each script whose answer a plan acts on. An answer passes `is_ours` at the
edge first; of what that lets through, a parser makes a typed result, and never raises.
"""

from redrepl.values.answers.shapes import is_ours, most_answer_bytes

__all__ = ["is_ours", "most_answer_bytes"]
