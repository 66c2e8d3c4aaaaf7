"""What a history is made of.

Most of it is drawn from the seed, so that histories differ in kind.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.recovery.upkeep import Retention
from redrepl.values.operation import CHANGING
from redrepl.values.topology import Mode
from tests.simulation.clients import BUILDING, Habits
from tests.simulation.faults import chosen
from tests.simulation.liars import Manner

NETWORK = ("cut node", "cut link", "cut links", "slow links", "freeze", "slow node")
RESTARTS = ("kill", "kill older", "kill empty", "flush scripts")
PROGRAMS = ("pause program", "kill program")
CLOCKS = ("clock",)
STEPS = ("clock step", "clock step in a job")
REFUSALS = ("refuse",)
HANDS = ("take guard",)
LOGS = ("lose log",)
SNAPSHOTS = ("set back", "set back in a job")


READ_BOUND_SECONDS = 3.0
"""How old a read at ONE of the primary may be: what the guarantees say, and time for the failover
to be told.
"""


OTHERS_SHARE = 0.25
"""Of the histories, those in which an operation comes up that no profile names."""


class Profile(NamedTuple):
    """Which histories to draw. faults: kinds that may come up. storm: more members restart than the
    guarantees allow; then a cluster that waits for its operator is right. moves: whether operators
    move the primary's role.

    unattended: no operator comes where the workers do not get any further. purges: much is deleted,
    over so long a time that tombstones go while others are still under way. members: in every
    history members are taken out and in.
    walks: members come back empty, keys are walked one by one, jobs end after a page, and logs are
    cut soon.
    deadlines: half of the values have one that no history reaches.
    logs: logs vanish while records stay, and are looked at all the time.
    snapshots: replicas go on with the memory of a while ago, and are looked at by monitors all the
    time.
    readers: programs that only read at ONE keep to a former primary that nobody else reaches.
    twins: servers are replaced by others at other addresses, and come back where they were.
    liars: a replica lies.
    tasks: programs with an event loop, whose writes leave in groups.
    farthest_seconds: nodes are up to such a round trip away, steadily. Where no fault comes,
    monitors are to do nothing; else to replace a primary that crashed, once.
    """

    faults: tuple[str, ...]
    moves: bool = True
    storm: bool = False
    unattended: bool = False
    largest_skew_seconds: float = 0.2
    purges: bool = False
    members: bool = False
    walks: bool = False
    deadlines: bool = False
    logs: bool = False
    snapshots: bool = False
    readers: bool = False
    twins: bool = False
    liars: bool = False
    tasks: bool = False
    farthest_seconds: float = 0.0


PROFILES = {
    "mixed": Profile(NETWORK + RESTARTS + PROGRAMS + CLOCKS),
    "still": Profile(NETWORK + RESTARTS + PROGRAMS + CLOCKS, moves=False),
    "network": Profile(NETWORK + PROGRAMS),
    "restarts": Profile(RESTARTS),
    "clocks": Profile((*NETWORK, *CLOCKS), largest_skew_seconds=1.2),
    "refusals": Profile(NETWORK + RESTARTS + PROGRAMS + REFUSALS * 3 + HANDS),
    "steps": Profile((*NETWORK, "kill", *PROGRAMS, *CLOCKS, *STEPS * 4), deadlines=True),
    "late": Profile(
        ("slow links", "freeze", "pause program", "kill older", "kill empty"), moves=False
    ),
    "storm": Profile(NETWORK + RESTARTS + PROGRAMS + CLOCKS, storm=True),
    "unattended": Profile(NETWORK + RESTARTS + PROGRAMS + CLOCKS, unattended=True),
    "calm": Profile((), moves=False),
    "far": Profile((), moves=False, farthest_seconds=0.5, largest_skew_seconds=0.05),
    "crashes": Profile(("kill",), moves=False, farthest_seconds=0.5, largest_skew_seconds=0.05),
    "members": Profile((*NETWORK, "kill", *PROGRAMS, *CLOCKS), members=True),
    "twins": Profile((*NETWORK, "kill", *PROGRAMS, *CLOCKS), twins=True),
    "liars": Profile((*NETWORK, "kill", "kill older", *PROGRAMS, *CLOCKS), liars=True),
    "tasks": Profile(NETWORK + RESTARTS + PROGRAMS + CLOCKS, tasks=True),
    "logs": Profile(("kill", "slow links", "flush scripts", *LOGS * 3), logs=True),
    "snapshots": Profile(("kill", "flush scripts", *SNAPSHOTS * 3), moves=False, snapshots=True),
    "readers": Profile(("cut keepers", "kill", "pause program"), readers=True),
    "walks": Profile((*NETWORK, "kill", "kill empty", *PROGRAMS), walks=True),
    "purges": Profile(
        NETWORK + RESTARTS + PROGRAMS + CLOCKS, largest_skew_seconds=0.05, purges=True
    ),
}


class Settings(NamedTuple):
    """One history.

    Durations in seconds. restarts: members that may be unrepaired after a restart at one time.

    sweeps: whether workers compare all keys and purge tombstones, as soon as these are confirmed.
    changers: operators who take members out and in again. No data is lost then: what the primary
    and a leaving member alone confirmed stands on one copy until the workers have shipped it.
    page_names: names on one page of a walk. hurries: how often a job of the workers ends after its
    first page. replacers: operators who
    give members' places to other servers; each member then has a second machine. readers:
    clients that only read, at ONE. liar: what a replica may tell that lies. task_clients: programs
    with an event loop.
    """

    copies: int
    clients: int
    threads: int
    habits: Habits
    tolerances: Tolerances
    retention: Retention
    skew_seconds: float
    break_rate: float
    faults: tuple[str, ...]
    fault_pause_seconds: float
    restarts: int
    workers: int
    monitors: int
    operators: int
    tick_seconds: float
    fails_over: bool
    storm: bool
    unattended: bool
    sweeps: bool
    changers: int
    page_names: int = 1000
    hurries: float = 0.2
    farthest_seconds: float = 0.0
    replacers: int = 0
    readers: int = 0
    liar: Manner | None = None
    task_clients: int = 0
    mode: Mode = Mode.PRIMARY_REPLICA
    has_twins: bool = False

    @property
    def members_move(self) -> bool:
        """Whether servers at other addresses come into members' places, for which each has a second
        machine.
        """
        return self.replacers > 0 or self.has_twins


def draw(random: Random, profile: Profile, copies: int) -> Settings:
    """The settings of one history."""
    if profile.purges:
        return _with_purges(random, draw(random, profile._replace(purges=False), copies))
    if profile.walks:
        return _with_walks(random, draw(random, profile._replace(walks=False), copies))
    if profile.logs:
        return _with_lost_logs(draw(random, profile._replace(logs=False), copies))
    if profile.snapshots:
        return _with_snapshots(random, draw(random, profile._replace(snapshots=False), copies))
    if profile.readers:
        return _with_readers(random, draw(random, profile._replace(readers=False), copies))
    if profile.twins:
        return _with_twins(random, draw(random, profile._replace(twins=False), copies))
    if profile.liars:
        return _with_liars(random, draw(random, profile._replace(liars=False), copies))
    if profile.tasks:
        return _with_tasks(random, draw(random, profile._replace(tasks=False), copies))
    if profile.farthest_seconds:
        return _with_distance(
            random, draw(random, profile._replace(farthest_seconds=0.0), copies), profile
        )
    clients, threads = random.choice(((2, 1), (3, 1), (2, 2), (4, 1)))
    fails_over = random.random() < 0.5
    settings = Settings(
        copies=copies,
        clients=clients,
        threads=threads,
        habits=_habits(random, profile.deadlines),
        tolerances=Tolerances(max_age_seconds=random.choice((1.5, 4.0)), max_skew_seconds=1.0),
        retention=Retention(random.choice((0.1, 2.0, 60.0)), random.choice((0, 5, 1000)), 100_000),
        skew_seconds=random.choice((0.0, 0.01, 1.0)) * profile.largest_skew_seconds,
        break_rate=random.choice((0.0, 0.002, 0.02)) if profile.faults else 0.0,
        faults=chosen(random, profile.faults) if profile.faults else (),
        fault_pause_seconds=random.choice((0.15, 0.5, 1.5)),
        restarts=copies if profile.storm else copies // 2,
        workers=random.choice((1, 1, 2)),
        monitors=_monitors(random, profile),
        operators=random.choice((0, 0, 1, 2)) if profile.moves else 0,
        tick_seconds=random.choice((0.1, 0.3, 1.0)),
        fails_over=fails_over,
        storm=profile.storm,
        unattended=profile.unattended,
        sweeps=random.random() < 0.5,
        changers=0,
    )
    if not profile.members and (
        not profile.moves or profile.storm or profile.unattended or random.random() < 0.8
    ):
        return settings
    return _with_changes(random, settings)


def _monitors(random: Random, profile: Profile) -> int:
    """Where no operator comes, there is one: what an operator leaves half done is the monitors' to
    end.
    """
    monitors = random.choice((0, 1, 2)) if profile.moves else 0
    return max(1, monitors) if profile.unattended else monitors


def _with_changes(random: Random, settings: Settings) -> Settings:
    """Members come and go, while others move the primary's role."""
    faults = tuple(
        kind for kind in settings.faults if kind not in ("kill older", "kill empty", *STEPS)
    )
    return settings._replace(
        faults=faults, changers=random.choice((1, 1, 2)), operators=random.choice((0, 1, 2))
    )


def _with_snapshots(random: Random, settings: Settings) -> Settings:
    """Many writes from one tick to the next, so that nobody but the monitors sees that a log went
    back before it grew again; and many keys, since what is written once more is not missed.
    """
    keys = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    built = {"get text", *(kind.name for kind in BUILDING)}
    weights = {
        name: weight for name, weight in settings.habits.weights.items() if name not in built
    }
    habits = settings.habits._replace(
        operations=400, pause_seconds=random.choice((0.03, 0.1)), keys=keys, weights=weights
    )
    return settings._replace(
        clients=2,
        threads=random.choice((1, 2)),
        habits=habits,
        faults=tuple(sorted({*settings.faults, *SNAPSHOTS})),
        fault_pause_seconds=0.3,
        break_rate=0.0,
        sweeps=False,
        tick_seconds=random.choice((0.3, 1.0, 2.0)),
        workers=random.choice((1, 2)),
        monitors=random.choice((1, 2)),
    )


def _with_lost_logs(settings: Settings) -> Settings:
    """Few writes between two looks: a log that grew beyond what was confirmed of it looks whole
    again.
    """
    habits = settings.habits._replace(operations=80, pause_seconds=0.3, timeout_seconds=1.0)
    return settings._replace(
        clients=2,
        threads=1,
        habits=habits,
        faults=tuple(sorted({*settings.faults, *LOGS})),
        changers=0,
        sweeps=False,
        tick_seconds=0.1,
        workers=2,
    )


def _with_readers(random: Random, settings: Settings) -> Settings:
    """A client or two write; others read one key at ONE all the time."""
    weights = {"set": 3, "get": 1, "get at one": 1}
    habits = settings.habits._replace(
        operations=150,
        pause_seconds=0.3,
        keys=("x",),
        weights=weights,
        bound_seconds=READ_BOUND_SECONDS,
    )
    return settings._replace(
        clients=1,
        threads=random.choice((1, 2)),
        readers=2,
        habits=habits,
        monitors=1,
        changers=0,
        faults=tuple(sorted({*settings.faults, "cut keepers"})),
        fault_pause_seconds=random.choice((1.0, 3.0)),
        sweeps=False,
    )


def _with_tasks(random: Random, settings: Settings) -> Settings:
    """Programs whose tasks write several keys in one turn, mostly without a pause in between."""
    habits = settings.habits._replace(
        operations=random.choice((60, 100)),
        pause_seconds=random.choice((0.0, 0.0, 0.01)),
        keys=("A", "B", "C", "D"),
        weights={**settings.habits.weights, "delete": 2},
    )
    return settings._replace(
        habits=habits, clients=1, threads=1, task_clients=random.choice((1, 2))
    )


def _with_twins(random: Random, settings: Settings) -> Settings:
    """Servers are replaced while others move the primary's role; there is time for several."""
    habits = settings.habits._replace(operations=60, pause_seconds=random.choice((0.1, 0.3)))
    return settings._replace(
        habits=habits,
        changers=0,
        replacers=1,
        operators=random.choice((0, 1)),
        tick_seconds=random.choice((0.1, 0.3)),
    )


def _with_liars(random: Random, settings: Settings) -> Settings:
    """What is read at ONE may be a lie, so nobody does.

    Where the role moves, only what is guarded is told; where more than one node is away beside the
    liar, a cluster that waits for its operator is right.
    """
    weights = {
        name: weight for name, weight in settings.habits.weights.items() if name != "get at one"
    }
    habits = settings.habits._replace(
        operations=60, pause_seconds=random.choice((0.1, 0.3)), timeout_seconds=1.0, weights=weights
    )
    settings = settings._replace(
        habits=habits,
        changers=0,
        workers=random.choice((1, 2)),
        tick_seconds=random.choice((0.1, 0.3)),
        unattended=True,
        liar=random.choice((Manner.GUARDED, Manner.GUARDED, Manner.ANYTHING, Manner.ALONE)),
    )
    if settings.liar is Manner.GUARDED:
        storm = random.random() < 0.25
        restarts = settings.copies if storm else settings.restarts
        return settings._replace(monitors=random.choice((1, 2)), storm=storm, restarts=restarts)
    stays = tuple(kind for kind in settings.faults if kind not in RESTARTS)
    settings = settings._replace(monitors=0, operators=0, fails_over=False, faults=stays)
    if settings.liar is Manner.ANYTHING:
        return settings
    # Whoever asks for ALL waits for the liar too.
    return settings._replace(faults=(), break_rate=0.0, habits=habits._replace(all_share=0.0))


def _with_purges(random: Random, settings: Settings) -> Settings:
    """Writes are refused soon, so that tombstones need not stay for long."""
    habits = settings.habits._replace(
        operations=60,
        pause_seconds=random.choice((0.1, 0.3)),
        timeout_seconds=0.3,
        weights={**settings.habits.weights, "delete": 6, "set": 4},
    )
    return settings._replace(
        clients=2,
        habits=habits,
        tolerances=Tolerances(max_age_seconds=0.4, max_skew_seconds=0.2),
        tick_seconds=random.choice((0.1, 0.3)),
        sweeps=True,
    )


def _with_distance(random: Random, settings: Settings, profile: Profile) -> Settings:
    """Everything is far, and monitors look."""
    habits = settings.habits._replace(pause_seconds=random.choice((0.1, 0.3)), timeout_seconds=4.0)
    settings = settings._replace(
        habits=habits,
        monitors=random.choice((1, 2)),
        changers=0,
        tolerances=Tolerances(max_age_seconds=8.0, max_skew_seconds=1.0),
        farthest_seconds=profile.farthest_seconds,
    )
    if not profile.faults:
        return settings
    habits = habits._replace(operations=60)
    return settings._replace(
        habits=habits, monitors=random.choice((1, 2, 3)), fault_pause_seconds=10.0, break_rate=0.0
    )


def _with_walks(random: Random, settings: Settings) -> Settings:
    """Several keys on pages of one, and logs that are cut under a walk, or held for it."""
    habits = settings.habits._replace(
        keys=("x", "y", "z"), operations=60, pause_seconds=random.choice((0.1, 0.3))
    )
    caps = Retention(0.1, 0, random.choice((2, 6, 100_000)), random.choice((100, 500, 1 << 29)))
    return settings._replace(
        habits=habits,
        retention=caps,
        faults=tuple(sorted({*settings.faults, "kill empty"})),
        changers=0,
        workers=random.choice((1, 2)),
        tick_seconds=random.choice((0.1, 0.3)),
        page_names=random.choice((1, 2)),
        hurries=random.choice((0.2, 0.7)),
    )


def _habits(random: Random, has_deadlines: bool) -> Habits:
    weights = {"get": 6, "set": 6}
    if has_deadlines:
        weights["set for long"] = 6
    usual = (
        ("delete", 2),
        ("add", 2),
        ("compare_and_set", 3),
        ("increment", 4),
        ("get counter", 2),
    )
    weights.update((name, weight) for name, weight in usual if random.random() < 0.5)
    rare = ("set_many", "get_many", "get at one", "set alone")
    weights.update((name, 2) for name in rare if random.random() < 0.2)
    weights.update(_other_operations(random, {*weights, *(name for name, _ in usual)}))
    return Habits(
        operations=random.choice((20, 30, 40)),
        pause_seconds=random.choice((0.01, 0.1, 0.3)),
        timeout_seconds=random.choice((0.3, 1.0)),
        keys=random.choice((("x",), ("x", "y"))),
        weights=weights,
    )


def _other_operations(random: Random, named: set[str]) -> dict[str, int]:
    """Weights of operations of the table that are named nowhere else.

    They are drawn apart, so that histories in which none of them comes up stay as they were.
    """
    apart = Random(str(random.getstate()))
    others = [kind for kind in CHANGING if kind.name not in named and apart.random() < OTHERS_SHARE]
    weights = {kind.name: 2 for kind in others}
    if any(kind in BUILDING for kind in others):
        weights["get text"] = 2
    return weights
