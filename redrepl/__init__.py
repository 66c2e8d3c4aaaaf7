"""redrepl: several plain Redis or Valkey servers as one replicated store for Python programs.

`Coordinator` reads and writes, `AsyncCoordinator` does the same for asyncio, `ReplicatedCache` is a
cache on top, and `Administration` is for operators and workers. Every error is a `RedreplError`.

Arguments that mean the same everywhere:

key, keys, prefix: str or bytes, of at most 32 KiB; what the key codec takes, where there is one.
value, data, items: bytes, of at most 64 MiB; what the value codec takes, where there is one.
ttl: seconds until the value reads as absent on every copy; None for no deadline.
level: copies besides the primary that must confirm: a `ConsistencyLevel`, its name, or a number.
prefer: which copy answers a read at level ONE: a `ReadPreference`, or its name.
timeout_seconds: of the whole operation; None for the one that the configuration has.
amount: what is added to a number; it may be negative.
expected, stamp: a version, as a receipt or a record has it.
repair: make the copies equal, instead of only comparing them.
node, to: the id of a member.
accept_loss: continue although writes may be lost; only an operator can decide that.
on_progress: called again and again while a long operation runs, with how far it has come.
configuration: what `load_configuration` returns.
path: the configuration file; None for the one that REDREPL_CONFIG names, else ./redrepl.toml.
key_codec, value_codec: a `Codec`; without one keys are str or bytes, and values bytes.
session: what was read and written so far, by other objects or processes; None for a new one.
attempts: how often a transaction is tried in all where it meets conflicts.
message, evidence: what happened, in words, and what each node answered, by its id.
receipt, receipts: what is known of the write, or of each of several, in order.
"""

from redrepl.doors.administration import Administration
from redrepl.doors.async_coordinator import AsyncCoordinator
from redrepl.doors.batch import AsyncBatch, Batch
from redrepl.doors.cache import CacheStatistics, ReplicatedCache
from redrepl.doors.coordinator import Coordinator
from redrepl.doors.transaction import AsyncTransaction, Transaction
from redrepl.edges.configuration import Configuration, load_configuration
from redrepl.logging_observer import LoggingObserver
from redrepl.observe import Observer
from redrepl.plans.client.reads import FoundRecord
from redrepl.plans.copies.comparison import Mismatch
from redrepl.plans.copies.discarded import DiscardedRecord, DiscardedRecords
from redrepl.plans.copies.verify import VerifyReport
from redrepl.plans.epochs.failover import FailedOver
from redrepl.plans.epochs.foresight import Foreseen, PossibleLoss
from redrepl.values.codec import Codec, JsonCodec
from redrepl.values.errors import (
    ClockSkew,
    ConfigError,
    NotAReplicatedRecord,
    RedreplError,
    RequestError,
    TransactionConflict,
    Unavailable,
    UndecodableValue,
    WriteFailure,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.level import ConsistencyLevel
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp
from redrepl.values.status import ClusterStatus, Condition, NodeStatus, ReplicationStats
from redrepl.values.topology import Mode, Node, NodeRole, NodeState, Topology

__version__ = "0.1.0"

__all__ = [
    "Administration",
    "AsyncBatch",
    "AsyncCoordinator",
    "AsyncTransaction",
    "Batch",
    "CacheStatistics",
    "ClockSkew",
    "ClusterStatus",
    "Codec",
    "Condition",
    "ConfigError",
    "Configuration",
    "ConsistencyLevel",
    "Coordinator",
    "DiscardedRecord",
    "DiscardedRecords",
    "FailedOver",
    "Foreseen",
    "FoundRecord",
    "JsonCodec",
    "LoggingObserver",
    "Mismatch",
    "Mode",
    "Node",
    "NodeRole",
    "NodeState",
    "NodeStatus",
    "NotAReplicatedRecord",
    "Observer",
    "Outcome",
    "PossibleLoss",
    "ReadPreference",
    "RedreplError",
    "ReplicatedCache",
    "ReplicationStats",
    "RequestError",
    "Session",
    "Stamp",
    "Topology",
    "Transaction",
    "TransactionConflict",
    "Unavailable",
    "UndecodableValue",
    "VerifyReport",
    "WriteFailure",
    "WriteNotConfirmed",
    "WriteReceipt",
    "WriteRejected",
    "__version__",
    "load_configuration",
]
