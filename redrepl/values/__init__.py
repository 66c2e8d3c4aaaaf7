"""Frozen values of redrepl: stamps, records, levels, topology, receipts, errors.

Nothing here does I/O.
"""
