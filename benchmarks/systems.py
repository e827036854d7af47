"""The systems that `peers` compares: what is installed for each, how its worker is started, and why so."""

from __future__ import annotations

from dataclasses import dataclass, field

# Exact versions of each system and of what its speed depends on; the results list all that came with them.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "celery": ("celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0", "hiredis==3.5.0", "gevent==26.9.0"),
    "dramatiq": ("dramatiq[redis]==2.2.1", "redis==8.1.0", "hiredis==3.5.0", "gevent==26.9.0"),
    "huey": ("huey==3.5.4", "redis==8.1.0", "hiredis==3.5.0", "gevent==26.9.0"),
    "rq": ("rq==3.0.0", "redis==8.1.0", "hiredis==3.5.0"),
    "taskiq": (
        *("taskiq==0.13.0", "taskiq-redis==1.2.4", "redis==8.1.0", "hiredis==3.5.0"),
        *("uvloop==0.23.0", "orjson==3.13.0"),
    ),
    "arq": ("arq==0.28.0", "redis==5.3.1", "hiredis==3.5.0", "uvloop==0.23.0"),  # it takes no later redis
    "saq": (
        *("saq[hiredis]==0.26.4", "redis==8.1.0", "hiredis==3.5.0", "uvloop==0.23.0"),
        "typing_extensions==4.16.0",  # it imports it and does not ask for it
    ),
    "streaq": ("streaq==7.2.0", "coredis==6.9.0", "anyio==4.16.0", "uvloop==0.23.0"),
}


@dataclass(frozen=True, kw_only=True)
class System:
    """One system in one way of running it. In the command, `{slots}` is its concurrency and `{url}` the server."""

    name: str
    module: str  # in benchmarks/peers
    venv: str  # the environment's name; empty for ours
    command: tuple[str, ...]
    slots: tuple[int, ...]  # what may be fastest for no-op tasks, likeliest first
    sleep_slots: int = 1000
    bulk: bool = False
    settings: str
    safety: str
    environment: dict[str, str] = field(default_factory=dict)


_CELERY = (
    *("celery", "-A", "on_celery", "worker", "-c", "{slots}", "-l", "ERROR"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
_CELERY_SETTINGS = (
    "results ignored, no rate limits, no events, no gossip, mingle and heartbeat, prefetch 4 a slot "
    "(the default; 1, 16 and 64 were no faster)"
)
_CELERY_SAFETY = "after the task (task_acks_late); again after visibility_timeout, an hour"
_DRAMATIQ_SAFETY = "after the task; again when its process has been silent for a minute"
_HUEY = ("huey_consumer", "on_huey.huey", "-w", "{slots}", "-n", "-C", "-q")
_HUEY_SETTINGS = "results off, blocking pop, no periodic tasks, no health check, quiet"
_HUEY_SAFETY = "none: a task is gone from the server before it starts"
_TASKIQ = (
    *("taskiq", "worker", "on_taskiq:broker", "--workers", "1", "--max-async-tasks", "{slots}"),
    *("--max-prefetch", "{slots}", "--ack-type", "when_executed", "--no-parse", "--log-level", "ERROR"),
)
_TASKIQ_SETTINGS = "uvloop (by itself), orjson, no parsing of arguments, no result backend, prefetch as many as slots"

_ALL = (
    System(
        name="Buraq",
        module="on_buraq",
        venv="",
        command=("buraq", "worker", "on_buraq:queue", "--concurrency", "{slots}"),
        slots=(1000,),
        bulk=True,
        settings="defaults; bulk is enqueue_many",
        safety="after the task, atomically; again within 15 s of its process's death",
    ),
    System(
        name="Celery gevent",
        module="on_celery",
        venv="celery",
        command=(*_CELERY, "-P", "gevent"),
        slots=(10, 100),
        bulk=True,
        settings=f"{_CELERY_SETTINGS}; gevent pool; bulk is one producer for all calls",
        safety=_CELERY_SAFETY,
    ),
    System(
        name="Celery threads",
        module="on_celery",
        venv="celery",
        command=(*_CELERY, "-P", "threads"),
        slots=(2, 1, 8),
        bulk=True,
        settings=f"{_CELERY_SETTINGS}; thread pool; bulk is one producer for all calls",
        safety=_CELERY_SAFETY,
    ),
    System(
        name="Dramatiq threads",
        module="on_dramatiq",
        venv="dramatiq",
        command=("dramatiq", "on_dramatiq", "--processes", "1", "--threads", "{slots}"),
        slots=(32, 8, 100),
        settings="default middleware, no results, queue prefetch 1000",
        safety=_DRAMATIQ_SAFETY,
        environment={"dramatiq_queue_prefetch": "1000"},
    ),
    System(
        name="Dramatiq gevent",
        module="on_dramatiq",
        venv="dramatiq",
        command=("dramatiq-gevent", "on_dramatiq", "--processes", "1", "--threads", "{slots}"),
        slots=(32, 8, 100),
        settings="dramatiq-gevent, default middleware, no results, queue prefetch 1000",
        safety=_DRAMATIQ_SAFETY,
        environment={"dramatiq_queue_prefetch": "1000"},
    ),
    System(
        name="Huey threads",
        module="on_huey",
        venv="huey",
        command=(*_HUEY, "-k", "thread"),
        slots=(4, 2, 16),
        settings=_HUEY_SETTINGS,
        safety=_HUEY_SAFETY,
    ),
    System(
        name="Huey greenlets",
        module="on_huey",
        venv="huey",
        # Patched before anything else is imported, which an import of gevent in the user's module is too late for.
        command=("python", "-m", "gevent.monkey", "--module", "huey.bin.huey_consumer", *_HUEY[1:], "-k", "greenlet"),
        slots=(10, 100, 1000),
        settings=f"{_HUEY_SETTINGS}; greenlets, patched by `python -m gevent.monkey`",
        safety=_HUEY_SAFETY,
    ),
    System(
        name="RQ",
        module="on_rq",
        venv="rq",
        command=(
            *("rq", "worker", "--worker-class", "rq.worker.SimpleWorker", "--quiet"),
            *("--serializer", "json", "--url", "{url}"),
        ),
        slots=(1,),
        sleep_slots=1,
        bulk=True,
        settings="SimpleWorker (no fork), JSON, results dropped; it runs one task at a time; bulk is enqueue_many",
        safety="none: a task whose worker dies is failed, or retried where its enqueuer said so",
    ),
    System(
        name="Taskiq streams",
        module="on_taskiq",
        venv="taskiq",
        command=_TASKIQ,
        slots=(100, 50, 1000),
        settings=f"{_TASKIQ_SETTINGS}, xread_count 1000",
        safety="after the task; again after idle_timeout, ten minutes, also of a task that still runs",
        environment={"BENCH_VARIANT": "streams"},
    ),
    System(
        name="Taskiq lists",
        module="on_taskiq",
        venv="taskiq",
        command=_TASKIQ,
        slots=(100, 50, 1000),
        settings=_TASKIQ_SETTINGS,
        safety="none: a task is gone from the server before it starts",
        environment={"BENCH_VARIANT": "lists"},
    ),
    System(
        name="arq",
        module="on_arq",
        venv="arq",
        command=("arq", "on_arq.WorkerSettings", "--custom-log-dict", "on_arq.LOGGING"),
        slots=(50, 100, 1000),
        settings="uvloop, poll_delay 10 ms, keep_result 0, no log of results",
        safety="after the task; again when its in-progress key expires, after job_timeout",
    ),
    System(
        name="SAQ",
        module="on_saq",
        venv="saq",
        command=("saq", "on_saq.settings", "--quiet"),
        slots=(10, 20, 50),
        settings="uvloop, hiredis, ttl -1 (results dropped)",
        safety="after the task; a sweep aborts or retries what is stuck",
    ),
    System(
        name="streaQ",
        module="on_streaq",
        venv="streaq",
        command=("streaq", "run", "on_streaq:worker"),
        slots=(100, 50, 1000),
        bulk=True,
        settings="uvloop, ttl 0 (results dropped), silent; bulk is enqueue_many of 1000",
        safety="after the task; again after idle_timeout, a minute without a heartbeat",
    ),
)
SYSTEMS = {system.name.lower().replace(" ", "-"): system for system in _ALL}
