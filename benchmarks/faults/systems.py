"""The systems that `faults` compares: how each worker is started, made safe and kept alive, and why so.

Each system's *window* is how long it takes for granted that a silent worker, or an unacknowledged task, is alive: what
it calls lease, visibility, idle or heartbeat timeout. Where that can be set and is longer by itself it is 30 seconds,
which is safe here because no task takes longer than two, and which costs the system nothing but recovery time that it
would otherwise spend waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 30.0


@dataclass(frozen=True, kw_only=True)
class System:
    """One system. In the command, `{processes}`, `{slots}`, `{unit}` and `{url}` are filled in."""

    name: str
    module: str  # in benchmarks/faults/inside
    venv: str  # the environment's name, as in benchmarks/systems.py; empty for ours
    command: tuple[str, ...]
    respawns: bool = False  # whether its own parent process replaces a worker process that dies
    forks: bool = False  # whether each task runs in a child of the worker process
    slots: int = 10  # tasks at once in a worker process
    window: float = WINDOW
    settings: str
    alive: str  # what replaces a worker process that dies
    remark: str = ""  # what a reader of its figures should know
    given_up: tuple[str, ...] = ()  # keys that hold the tasks it has given up
    history: str = ""  # how the keys begin under which it keeps records of what has ended
    environment: dict[str, str] = field(default_factory=dict)


_UNIT = "a supervisor that starts it again after 0.1 s, as systemd's Restart=always does"

_ALL = (
    System(
        name="Buraq",
        module="on_buraq",
        venv="",
        command=("buraq", "worker", "on_buraq:queue", "--processes", "{processes}", "--concurrency", "{slots}"),
        respawns=True,
        window=10.0,
        settings="defaults; LEASE_TTL 10 s",
        alive="its own parent process",
        given_up=("buraq_tasks_dlq",),
        history="buraq_tasks:history",
        environment={"LEASE_TTL": "{window}", "METRICS_PORT": ":0", "LOG_LEVEL": "warning"},
    ),
    System(
        name="Celery gevent",
        module="on_celery",
        venv="celery",
        command=(
            *("celery", "-A", "on_celery", "worker", "-P", "gevent", "-c", "{slots}", "-n", "{unit}@%h"),
            *("-l", "WARNING", "--without-gossip", "--without-mingle"),
        ),
        settings=(
            "task_acks_late, task_reject_on_worker_lost, prefetch multiplier 1, visibility_timeout 30 s (default an "
            "hour), unacked_restore_interval 1 s and throttle 1 (defaults 10 and 10), results ignored"
        ),
        alive=_UNIT,
        remark=(
            "with gevent it looks for what was cut off when a worker starts and while all its slots are busy, never on "
            "a quiet queue (compare celery issue 4976)"
        ),
    ),
    System(
        name="RQ",
        module="on_rq",
        venv="rq",
        command=(
            *("rq", "worker", "--url", "{url}", "--job-monitoring-interval", "5", "--maintenance-interval", "5"),
            *("--worker-ttl", "20", "--quiet"),
        ),
        forks=True,
        slots=1,
        window=65.0,
        settings=(
            "Worker (one fork a task), Retry(max=20), job-monitoring-interval 5 s (default 30; a started job is taken "
            "for abandoned a minute after that), maintenance-interval 5 s (default 10 min), worker-ttl 20 s "
            "(default 420), result_ttl 5 s"
        ),
        alive=_UNIT,
        remark="a worker runs one task at a time, so it was given a tenth of the tasks",
        given_up=("rq:failed:default",),
    ),
    System(
        name="Dramatiq",
        module="on_dramatiq",
        venv="dramatiq",
        command=("dramatiq", "on_dramatiq", "--processes", "{processes}", "--threads", "{slots}"),
        settings=(
            "default middleware, heartbeat_timeout 30 s (default 60), maintenance_chance 1,000,000 of a million "
            "(default 1,000): each command looks for dead workers"
        ),
        alive=_UNIT,
        given_up=("dramatiq:default.XQ.msgs",),
    ),
    System(
        name="Taskiq streams",
        module="on_taskiq",
        venv="taskiq",
        command=(
            *("taskiq", "worker", "on_taskiq:broker", "--workers", "{processes}", "--max-async-tasks", "{slots}"),
            *("--ack-type", "when_saved", "--log-level", "WARNING"),
        ),
        respawns=True,
        settings=(
            "RedisStreamBroker, acknowledged when saved (the default), idle_timeout 30 s (default 10 min), "
            "unacknowledged_lock_timeout 5 s (default none), consumer_id 0, no prefetch"
        ),
        alive="its own parent process",
        remark="it looks for what was cut off only after it has got something new; done tasks stay in its stream",
    ),
    System(
        name="streaQ",
        module="on_streaq",
        venv="streaq",
        command=("streaq", "run", "on_streaq:worker", "--workers", "{processes}"),
        settings="idle_timeout 30 s (default 60), grace_period 30 s (default 0), max_tries none (default 3), ttl 0",
        alive=_UNIT,
    ),
)
SYSTEMS = {system.name.lower().replace(" ", "-"): system for system in _ALL}
