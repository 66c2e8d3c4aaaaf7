"""Limits that a user or an operator can meet, and those that several folders have to agree on.

Each has its unit and its reason. Here are all largest and smallest sizes and counts (``MAX_...``,
``MIN_...``), the defaults of the configuration, and whatever is used by more than one of `values`,
`plans`, `edges`, `doors`, workers and commands. A constant by which one folder alone works (a
pause, a share, a sample) stays there. No name is given twice. What has to hold between limits is
asserted at the end. `tests/tidy` holds all of this.
"""

from __future__ import annotations

from typing import Final

MAX_KEY_BYTES: Final = 32 * 1024
"""A key is repeated in the change log and in every catch-up request, so it must stay small beside
its value."""

MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
"""A larger value would block a server for longer than an ordinary time-out while it is copied."""

EXACT_UP_TO: Final = 1 << 53
"""Whole numbers nearer to zero are exact in Lua, whose numbers are doubles."""

MAX_TTL_SECONDS: Final = 100 * 365 * 24 * 3600
"""A longer life is a mistake in units; twelve hex digits of milliseconds would hold far more."""

MIN_TTL_SECONDS: Final = 0.001
"""Deadlines are kept in milliseconds."""

MAX_TIMEOUT_SECONDS: Final = 25.0
"""A client must stop counting answers before `DEFAULT_MAX_AGE_SECONDS`: later the primary refuses
its write."""

MAX_NODES: Final = 16
"""Copies of one cluster. Each write goes to all of them."""

MAX_NAME_CHARACTERS: Final = 64
"""Cluster names and node ids stand in job ids and in key names."""

MAX_HOST_CHARACTERS: Final = 253
"""Of a host in a url: no longer name can be asked of DNS."""

MAX_ADDRESS_CHARACTERS: Final = 1024
"""Of what is stored and shown of a url."""

MAX_URL_CHARACTERS: Final = 64 * 1024
"""Of a whole url, which may hold certificates."""

MAX_TOPOLOGY_BYTES: Final = 64 * 1024
"""Of a topology as it is stored: more than MAX_NODES members with long addresses take."""

MAX_NOTE_BYTES: Final = 64 * 1024
"""Of a text that redrepl keeps on a node for itself: many times what the longest of them takes."""

MAX_CONFIGURATION_BYTES: Final = 256 * 1024
"""Of a configuration file."""

MAX_SECRET_BYTES: Final = 64 * 1024
"""Of a file that holds a password or a key."""

MAX_MICROS: Final = (0x1F << 48) - 1
"""Largest clock reading (the year 2246): Lua's doubles are exact up to 2^53, and restamping must
not come there. A record with a later stamp is none of ours: it is never copied, and counts as
nothing where it is overwritten."""

MAX_CLIENT_WRITER: Final = (1 << 31) - 1
"""Writer ids of clients have the top bit clear; ids with which a primary restamps have it set."""

MAX_EPOCH: Final = (1 << 19) - 1
"""Epochs that fit a restamping writer id beside a node number."""

SKIPPED_EPOCHS: Final = 100
"""Where an operator accepts a loss. Members that do not answer may have moved on without anybody
here knowing. Two primaries in one epoch would be worse than any loss, and where both sides meet,
what the operator chose is the newer."""

MAX_AGE_SECONDS: Final = 1e7
"""About four months: no age of a stamp and no tolerated skew is longer."""

MAX_TOKEN_BYTES: Final = 2 * 1024 * 1024
"""Of a session in a token, before it is encoded: SESSION_KEYS keys of a hundred bytes. Tokens come
back from users."""

DEFAULT_MAX_AGE_SECONDS: Final = 30.0
"""A write older than this by the primary's clock is refused: it waited in a frozen server's
socket."""

DEFAULT_MAX_SKEW_SECONDS: Final = 5.0
"""A stamp further ahead of a node's clock than this is refused."""

MAX_SKEW_SHARE: Final = 0.9
"""Of the greatest age of a stamp: the tolerated skew where the default is not below that, and none
is set."""

DEFAULT_TIMEOUT_SECONDS: Final = 1.0
"""Time for one operation."""

FIRST_CONTACT_SECONDS: Final = 4.0
"""For a node of which it is not known yet how far it is: connecting, the introduction and one
question to a node that is a second away, and the packet that TCP sends again after a second where
the first was lost."""

LONGEST_SUSPECT_SECONDS: Final = 1.0
"""A node that is silent for longer is not waited for alone, however far it is: a few slow answers
must not make a program wait for long when the primary is gone."""

OPENINGS_AT_ONCE: Final = 8
"""Connections that are being opened to one node at the same time, where it is near: what is more
only waits for the processor."""

FAR_OPENINGS_AT_ONCE: Final = 64
"""Where the round trip is FAR_SECONDS or more: opening waits for the network then, and not for the
processor."""

FAR_SECONDS: Final = 0.002
"""Longer round trips are those of a network."""

BATCH_KEYS: Final = 500
"""Keys in one script call: about a millisecond of a server's time, and far below Lua's 8,000
arguments."""

BATCH_BYTES: Final = 1024 * 1024
"""Bytes of records in one script call or its answer, unless a single record is larger."""

TRANSACTION_BYTES: Final = 8 * 1024 * 1024
"""Bytes of keys and values in one transaction: no other client is served while the server carries
it out."""

TRANSACTION_ATTEMPTS: Final = 20
"""Times that a transaction is tried before its conflict is raised; with growing pauses that is
about a second."""

SCAN_KEYS: Final = 1000
"""COUNT hint of a SCAN."""

CHUNKS_IN_FLIGHT: Final = 3
"""Chunks of a batch on their way at once: nodes have work while the client makes the next chunk
ready, and memory holds no more of them."""

LOOKED_AT_NAMES: Final = 20_000
"""Names in a log that are looked at for what a primary lost: some milliseconds of a server's
time."""

MAX_UNSENT_BYTES: Final = 8 * 1024 * 1024
"""Bytes waiting for a connection besides its largest CHUNKS_IN_FLIGHT requests, which somebody may
still wait for; a node that lets more pile up, by taking less than the others do, counts as
failed."""

MAX_LOOP_UNSENT_BYTES: Final = 256 * 1024 * 1024
"""The same for the one connection that all tasks of an event loop share."""

MAX_VERDICT_BYTES: Final = 1024 * 1024
"""Bytes of an answer that holds no records or names of keys; a longer one ends its connection."""

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""The same of any answer: the largest record, or a page of the longest names."""

MAX_QUEUE_ANSWER_BYTES: Final = 1024 * 1024
"""Of all answers of the queue's server to what is sent at once. Those to redrepl's own requests are
far below."""

MAX_OUTSTANDING_REPLIES: Final = 10_000
"""Replies still owed on one connection; beyond it the connection is closed and the node
reported."""

MAX_WAITING_REQUESTS: Final = 64
"""Requests that are kept for a node while a connection to it is opened, beside those whose caller
still waits."""

MAX_SCRIPT_RETRIES: Final = 3
"""How often a request is sent again because the node lacks the script; a connection that was opened
and left in store just before the scripts went is met once."""

MAX_IDLE_CHANNELS: Final = 64
"""Sets of connections kept open for later callers; each thread that is inside an operation uses
one."""

CHANNELS_BEFORE_WAITING: Final = 32
"""Sets of connections that threads make for themselves at once. A thread beyond that waits a moment
for one that is given back: hundreds that begin together would otherwise all open connections, and
none would work meanwhile."""

MAX_CONCURRENT_OPERATIONS: Final = 1_000
"""Operations of one event loop that are under way at the same time; more tasks wait for their turn
in order. Enough to keep every server busy, and few enough that none times out because of the
others."""

MAX_GROUPS_IN_FLIGHT: Final = 16
"""Groups of writes of one event loop. Beyond these nothing leaves before one has returned: what
leaves later times out later."""

SESSION_KEYS: Final = 10_000
"""Keys whose newest stamp a session remembers one by one; older ones are covered by one common
floor."""

CHECKPOINTS: Final = 32
"""Checkpoints that a replica keeps. One comes with each look of the workers at its log, at most
once a tick: a copy that lags by less than that is brought to another replica's state from their
logs alone."""

DISCARDED_ENTRIES: Final = 10_000
"""Records that a node keeps in its discarded log (approximately: a stream is cut by whole
blocks)."""

DISCARDED_BYTES: Final = 64 * 1024 * 1024
"""Of large records a node keeps fewer: so many as take this, were all of the size of the newest."""

STATUS_SCAN_KEYS: Final = 20_000
"""Keys of a node that `status` looks at one by one: less than a tenth of a second. Of more it looks
at a sample."""

STATUS_SAMPLE_KEYS: Final = 5_000
"""Keys in that sample: enough to tell how many read as present to about one in a hundred. The count
is said to be an estimate then (`keys_exact`)."""

HEALTHY_WITHIN_SECONDS: Final = 30.0
"""A copy is healthy while its oldest missing change is younger than this."""

TICK_SECONDS: Final = 1.0
"""How often a worker looks at the nodes."""

PROBE_SECONDS: Final = 0.1
"""How often a monitor looks at the nodes."""

MAX_UNANSWERED_LOOKS: Final = 100
"""A monitor's looks at one node that may be under way: more than a node that is worth looking at
has in its longest round trip."""

FAILOVER_AFTER_CRASH_SECONDS: Final = 0.1
"""A primary that refuses connections for so long is replaced. If it comes back in a moment, nothing
is lost either."""

FAILOVER_AFTER_SILENCE_SECONDS: Final = 0.7
"""A primary that is silent for so long is replaced: longer than slow commands take, and short for
who waits."""

FAILOVER_AFTER_REFUSAL_SECONDS: Final = 1.0
"""A primary that answers and refuses writes for so long is replaced: what it refuses for may be
over in a moment."""

WRITE_PROBE_SECONDS: Final = 0.5
"""How often a monitor tries whether the nodes take writes."""

LOG_RETENTION_SECONDS: Final = 60.0
"""Confirmed log entries are kept this long for members that restart with slightly older data."""

LOG_RETENTION_ENTRIES: Final = 100_000
"""At most this many confirmed entries are kept."""

SWEEP_EVERY_SECONDS: Final = 24 * 3600.0
"""From the end of a sweep over all keys to the beginning of the next. What it mends are accidents
that no log names."""

SWEEP_KEYS_PER_SECOND: Final = 5_000
"""Keys that a sweep looks at in a second: some hundredths of a server's time, and twenty minutes
for six million."""

TOMBSTONE_RETENTION_SECONDS: Final = 24 * 3600.0
"""Tombstones stay at least this long. They cost memory, and purging sooner gains little."""

LOG_CAP_BYTES: Final = 512 * 1024 * 1024
"""Bytes that a log may take while a walk that fills a node holds it: some nine million changes.
Beyond it the log is cut and the walk begins anew."""

HOLD_SECONDS: Final = 600.0
"""A walk that nobody goes on with holds the source's log for so long."""

MAX_WAITING_FACTS: Final = 10_000
"""Facts that wait for an observer that takes its time; a failover under load makes some hundreds.
More are dropped."""

LOG_CAP_ENTRIES: Final = 1_000_000
"""Log entries a node keeps for a member that is away; past it the log is cut and that member needs
a full sync."""

SWITCHING_SECONDS: Final = 1.0
"""What a failover takes, where `redrepl plan` is told nothing else. Measured with default settings:
0.12 s where the primary is killed, 0.86 s where it freezes (docs/guarantees.md)."""

AWAY_SECONDS: Final = 3600.0
"""How long a copy that fails is away, where `redrepl plan` is told nothing else."""

MAX_JOB_ID_BYTES: Final = len("redrepl---sweep-of-all-") + 8 + 2 * MAX_NAME_CHARACTERS
"""Longer ids of jobs are none of redrepl's."""

MAX_JOB_DATA_BYTES: Final = 1024
"""Of a job's packed arguments, and of what is noted beside them."""

MAX_JOB_INFLATED_BYTES: Final = 2048
"""A name and two arguments, as JSON: a packed kilobyte may hold a megabyte."""

MAX_JOB_ERROR_BYTES: Final = 64 * 1024
"""Of the text that says why a job failed."""

MIN_QUEUE_KEY_CHARACTERS: Final = 16
"""Of the key that signs jobs."""

MAX_OTHER_CLUSTERS: Final = 16
"""Clusters whose jobs a worker hands on. More than that on one queue are made up."""

MAX_TROUBLE_SUBJECTS: Final = 200
"""Subjects of which a worker remembers what it said. What is noted of more is forgotten, the oldest
first: subjects may be named by what others wrote."""

# What has to hold between them -------------------------------------------------------------------

# A client stops waiting before the primary refuses its write for its age, and the tolerated skew is
# a share of that age.
assert DEFAULT_TIMEOUT_SECONDS <= MAX_TIMEOUT_SECONDS < DEFAULT_MAX_AGE_SECONDS <= MAX_AGE_SECONDS
assert DEFAULT_MAX_SKEW_SECONDS <= MAX_SKEW_SHARE * DEFAULT_MAX_AGE_SECONDS

# What is deleted stays known for as long as an older write may come, as the configuration asks for.
assert TOMBSTONE_RETENTION_SECONDS >= 2 * (DEFAULT_MAX_AGE_SECONDS + DEFAULT_MAX_SKEW_SECONDS)

# Stamps, and the numbers that callers give, are exact in Lua.
assert MAX_MICROS < EXACT_UP_TO

# The largest key, value and page of names fit into one answer; what is no record is far smaller.
assert MAX_KEY_BYTES < BATCH_BYTES <= MAX_VERDICT_BYTES
assert max(MAX_VALUE_BYTES + MAX_KEY_BYTES, SCAN_KEYS * MAX_KEY_BYTES) < MAX_ANSWER_BYTES

# A loop's connection takes as many of the largest values as a batch has chunks on their way.
assert MAX_UNSENT_BYTES <= CHUNKS_IN_FLIGHT * MAX_VALUE_BYTES < MAX_LOOP_UNSENT_BYTES

# All operations of a loop may be owed a reply on its one connection.
assert MAX_CONCURRENT_OPERATIONS < MAX_OUTSTANDING_REPLIES

# Channels that are made at once can be given back; near nodes are met by fewer openings
# than far ones.
assert CHANNELS_BEFORE_WAITING <= MAX_IDLE_CHANNELS
assert OPENINGS_AT_ONCE <= FAR_OPENINGS_AT_ONCE

# A topology of all nodes, and a session of all keys with names of a hundred bytes, fit where they
# are kept.
assert MAX_NODES * MAX_ADDRESS_CHARACTERS < MAX_TOPOLOGY_BYTES
assert SESSION_KEYS * 128 < MAX_TOKEN_BYTES

# A monitor sees a crash before silence, and silence before a refusal. It looks often enough to tell
# each of them.
assert PROBE_SECONDS <= FAILOVER_AFTER_CRASH_SECONDS < FAILOVER_AFTER_SILENCE_SECONDS
assert FAILOVER_AFTER_SILENCE_SECONDS < FAILOVER_AFTER_REFUSAL_SECONDS
assert WRITE_PROBE_SECONDS < FAILOVER_AFTER_REFUSAL_SECONDS

# A log keeps for a member that is away at least what it keeps for one that is there.
assert LOG_RETENTION_ENTRIES <= LOG_CAP_ENTRIES

# A sample is smaller than what is counted one by one.
assert STATUS_SAMPLE_KEYS < STATUS_SCAN_KEYS
