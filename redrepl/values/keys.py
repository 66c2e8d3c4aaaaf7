"""Names of the keys a cluster uses on a node.

All stand under one prefix; user keys in a space of their own.
"""

from __future__ import annotations

from typing import Final

CLUSTERS_KEY: Final = b"redrepl:clusters"
"""Hash on every node, outside all prefixes: which clusters live in this database, with the id of
the node that each was first given here.

All clusters' logins read it; those of operators add to it.
"""


class KeyLayout:
    """The key names of one cluster. Strings under ``data_prefix`` are records and nothing else."""

    def __init__(self, cluster: str) -> None:
        prefix = cluster.encode() + b":"
        self.cluster = cluster
        self.data_prefix = prefix + b"k:"
        self.log = prefix + b"m:log"
        self.member = prefix + b"m:member"
        self.guard = prefix + b"m:guard"
        self.cursors = prefix + b"m:cursors"
        self.marks = prefix + b"m:marks"
        self.topology = prefix + b"m:topology"
        self.checkpoints = prefix + b"m:checkpoints"
        self.discarded = prefix + b"m:discarded"
        self.sweep = prefix + b"m:sweep"
        self.probe = prefix + b"m:probe"
        self.no_stream = prefix + b"m:no-stream"
        self.no_string = prefix + b"m:no-string"

    def data(self, key: bytes) -> bytes:
        """The name under which a node stores the user's key."""
        return self.data_prefix + key

    def user_key(self, name: bytes) -> bytes:
        """The user's key from the name on a node."""
        return name[len(self.data_prefix) :]

    @property
    def data_pattern(self) -> bytes:
        """A SCAN pattern that matches the names of all user keys."""
        return self.data_prefix + b"*"

    def pattern_for(self, key_prefix: bytes) -> bytes:
        """A SCAN pattern for the user keys that start with ``key_prefix``, taken literally."""
        return self.data_prefix + _literal(key_prefix) + b"*"


def literal(name: str) -> str:
    """A pattern, of SCAN or an ACL, that matches this name alone."""
    return _literal(name.encode()).decode()


def _literal(name: bytes) -> bytes:
    escaped = bytearray()
    for byte in name:
        if byte in b"*?[]\\^":
            escaped += b"\\"
        escaped.append(byte)
    return bytes(escaped)
