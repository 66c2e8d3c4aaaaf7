"""redrepl: several plain Redis or Valkey servers as one replicated store for Python programs."""

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
