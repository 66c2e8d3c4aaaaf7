"""The command line of redrepl.

Importing this package imports nothing heavy: see `redrepl_cli.lazy`.
"""
