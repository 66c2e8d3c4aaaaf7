"""Processes that commands start with the interpreter that runs them."""

SAFE_PATH = ("-P",)
"""Options of the interpreter: with `-m` it would else import modules that lie in the present
directory.
"""
