"""The systems that `peers` compares: how the worker of each is started, with which settings, and how safe that is.

The settings are the fastest that a system documents and that keep what it has of safety. What is installed for each is
in benchmarks/peers/requirements, to the exact version. `python -m benchmarks.systems` prints the table of the docs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class System:
    """One system in one way of running it. In the command, `{slots}` is its concurrency and `{url}` the server."""

    name: str
    module: str  # in benchmarks/peers
    venv: str  # the environment's name; empty for ours
    command: tuple[str, ...]
    slots: tuple[int, ...]  # what may be fastest for no-op tasks, likeliest first
    sleep_slots: tuple[int, ...] = (10_000, 1000)  # the same for tasks that sleep
    bulk: str = ""  # how it enqueues many at once, where it can
    settings: str
    safety: str  # when a task is acknowledged, and what becomes of it when its worker process dies
    loses: bool = False  # whether it is lost then
    environment: dict[str, str] = field(default_factory=dict)


_CELERY = (
    *("celery", "-A", "on_celery", "worker", "-c", "{slots}", "-l", "ERROR"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
_CELERY_SETTINGS = (
    "task_acks_late, results ignored, no rate limits, no events, no gossip, mingle and heartbeat; the default prefetch "
    "of 4 a slot: 1, 16, 64 and 128 were no faster"
)
_CELERY_SAFETY = "after the task; again after visibility_timeout, an hour, also where the task still runs"
_DRAMATIQ_SETTINGS = "no results, dramatiq_queue_prefetch 1000"
_DRAMATIQ_SAFETY = "after the task, what was prefetched too; again when its process has been silent for a minute"
_HUEY = ("huey_consumer", "on_huey.huey", "-w", "{slots}", "-n", "-q")
_HUEY_SETTINGS = "results off, blocking pop, no periodic tasks, quiet"
_HUEY_SAFETY = "when it is taken: lost with its process"
_TASKIQ = (
    *("taskiq", "worker", "on_taskiq:broker", "--workers", "1", "--max-async-tasks", "{slots}"),
    *("--ack-type", "when_executed", "--no-parse", "--log-level", "ERROR"),
)
_TASKIQ_SETTINGS = "uvloop, orjson, no parsing of arguments, no result backend; more max-prefetch was no faster"

_ALL = (
    System(
        name="Buraq",
        module="on_buraq",
        venv="",
        command=("buraq", "worker", "on_buraq:queue", "--concurrency", "{slots}"),
        slots=(1000,),
        sleep_slots=(10_000,),
        bulk="enqueue_many",
        settings="the defaults",
        safety="after the task, atomically; again within 15 s of its process's death",
    ),
    System(
        name="Celery gevent",
        module="on_celery",
        venv="celery",
        command=(*_CELERY, "-P", "gevent"),
        slots=(10, 100),
        bulk="one producer for all calls",
        settings=f"gevent pool, {_CELERY_SETTINGS}",
        safety=_CELERY_SAFETY,
    ),
    System(
        name="Celery threads",
        module="on_celery",
        venv="celery",
        command=(*_CELERY, "-P", "threads"),
        slots=(2, 1, 8),
        bulk="one producer for all calls",
        settings=f"thread pool, {_CELERY_SETTINGS}",
        safety=_CELERY_SAFETY,
    ),
    System(
        name="Dramatiq threads",
        module="on_dramatiq",
        venv="dramatiq",
        command=("dramatiq", "on_dramatiq", "--processes", "1", "--threads", "{slots}"),
        slots=(8, 32, 100),
        settings=_DRAMATIQ_SETTINGS,
        safety=_DRAMATIQ_SAFETY,
        environment={"dramatiq_queue_prefetch": "1000"},
    ),
    System(
        name="Dramatiq gevent",
        module="on_dramatiq",
        venv="dramatiq",
        command=("dramatiq-gevent", "on_dramatiq", "--processes", "1", "--threads", "{slots}"),
        slots=(8, 32, 100),
        settings=f"dramatiq-gevent, {_DRAMATIQ_SETTINGS}",
        safety=_DRAMATIQ_SAFETY,
        environment={"dramatiq_queue_prefetch": "1000"},
    ),
    System(
        name="Huey threads",
        module="on_huey",
        venv="huey",
        command=(*_HUEY, "-k", "thread"),
        slots=(4, 1, 16),
        settings=_HUEY_SETTINGS,
        safety=_HUEY_SAFETY,
        loses=True,
    ),
    System(
        name="Huey greenlets",
        module="on_huey",
        venv="huey",
        # Patched before anything else is imported, which an import of gevent in the user's module is too late for.
        command=("python", "-m", "gevent.monkey", "--module", "huey.bin.huey_consumer", *_HUEY[1:], "-k", "greenlet"),
        slots=(10, 100, 1000),
        settings=f"patched by `python -m gevent.monkey`, {_HUEY_SETTINGS}",
        safety=_HUEY_SAFETY,
        loses=True,
    ),
    System(
        name="RQ",
        module="on_rq",
        venv="rq",
        command=(
            *("rq", "worker", "--worker-class", "rq.worker.SimpleWorker", "--quiet", "--disable-job-desc-logging"),
            *("--serializer", "json", "--url", "{url}"),
        ),
        slots=(1,),
        sleep_slots=(1,),
        bulk="enqueue_many of 1,000",
        settings="SimpleWorker, which does not fork, JSON, results dropped, retry=Retry(3); it runs one task at a time",
        safety="after the task; again when its timeout is over and a worker cleans up, every ten minutes; it fails "
        "then where it has no retry",
    ),
    System(
        name="Taskiq streams",
        module="on_taskiq",
        venv="taskiq",
        command=_TASKIQ,
        slots=(100, 50, 1000),
        settings=f"{_TASKIQ_SETTINGS}, xread_count 1000",
        safety="after the task; again after idle_timeout, ten minutes, also where the task still runs",
        environment={"BENCH_VARIANT": "streams"},
    ),
    System(
        name="Taskiq lists",
        module="on_taskiq",
        venv="taskiq",
        command=_TASKIQ,
        slots=(100, 50, 1000),
        settings=_TASKIQ_SETTINGS,
        safety="when it is taken: lost with its process",
        loses=True,
        environment={"BENCH_VARIANT": "lists"},
    ),
    System(
        name="arq",
        module="on_arq",
        venv="arq",
        command=("arq", "on_arq.WorkerSettings", "--custom-log-dict", "on_arq.LOGGING"),
        slots=(10, 50, 100),
        settings="uvloop, poll_delay 10 ms, keep_result 0, no log of results",
        safety="after the task; again ten seconds after job_timeout, five minutes",
    ),
    System(
        name="SAQ",
        module="on_saq",
        venv="saq",
        command=("saq", "on_saq.settings", "--quiet"),
        slots=(20, 10, 50),
        settings="uvloop, hiredis, results dropped (ttl -1), retries 3, max_concurrent_ops as many as slots",
        safety="after the task; again when its timeout, ten seconds, is over and a worker sweeps, every minute; it is "
        "aborted then where it has one attempt, the default",
    ),
    System(
        name="streaQ",
        module="on_streaq",
        venv="streaq",
        command=("streaq", "run", "on_streaq:worker"),
        slots=(100, 50, 1000),
        bulk="enqueue_many of 1,000",
        settings="uvloop, results dropped (ttl 0), silent",
        safety="after the task, what was prefetched too; again after idle_timeout, a minute without a sign of life",
    ),
)
SYSTEMS = {system.name.lower().replace(" ", "-"): system for system in _ALL}


def table() -> Iterator[str]:
    """Return the lines of the table of all systems that the docs show."""
    yield "| system | settings | many at once | a task is acknowledged |"
    yield "|---|---|---|---|"
    for system in _ALL:
        yield f"| {system.name} | {system.settings} | {system.bulk or '–'} | {system.safety} |"


if __name__ == "__main__":
    print("\n".join(table()))
