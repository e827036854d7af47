"""Metrics: names and types, cheap counting in a worker process, the sum over processes, the gauges of queues."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from buraq import metrics
from buraq.backend import Backend
from buraq.config import Config
from buraq.inspector import Inspector
from buraq.metrics import NAMES, NO_TASK, QueueCollector, TaskMetrics, render, series
from buraq.metrics.counting import Buckets, Values
from buraq.metrics.processes import FOLDER
from buraq.metrics.series import BUCKETS
from tests.servers import Server

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = {  # name -> type, labels
    "buraq_tasks_processed_total": ("counter", {"task_type", "status"}),
    "buraq_tasks_failed_total": ("counter", {"task_type"}),
    "buraq_tasks_dlq_total": ("counter", {"task_type"}),
    "buraq_task_duration_seconds": ("histogram", {"task_type"}),
    "buraq_worker_panics_total": ("counter", set()),
    "buraq_channel_depth": ("gauge", set()),
    "buraq_tasks_duplicate_total": ("counter", set()),
}


@pytest.fixture(autouse=True)
def counted_from_zero() -> Iterator[None]:
    """Let each test count from 0."""
    series.series.cache_clear()
    series.labels_taken.clear()
    yield
    series.series.cache_clear()
    series.labels_taken.clear()


def read(text: str) -> dict[str, float]:
    """Return each series with its labels, as it is written, and its value."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def shown() -> dict[str, float]:
    return read(render()[0].decode())


def everything(counting: TaskMetrics) -> None:
    counting.completed("mail", 0.02, 0.001)
    counting.failed("mail", 2.0, 7200)
    counting.retried("mail")
    counting.dead("mail")
    counting.enqueued("mail", 3)
    counting.duplicate()
    counting.reclaimed(2)
    counting.lost(1)
    counting.panic()
    counting.slots(3, 10)
    counting.channel_depth(4)
    counting.hub_blocked("mail", 0.5)
    counting.redis_up(True)
    counting.flush()


def test_the_metrics_of_the_original_have_its_names_types_and_labels() -> None:
    everything(TaskMetrics())
    families = {family.name: family for family in text_string_to_metric_families(render()[0].decode())}

    for name, (kind, labels) in ORIGINAL.items():
        family = families[name.removesuffix("_total") if kind == "counter" else name]
        used = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert (family.type, used) == (kind, labels), name


def test_what_was_counted_is_shown_after_a_flush() -> None:
    everything(TaskMetrics())

    found = shown()
    assert found['buraq_tasks_processed_total{status="success",task_type="mail"}'] == 1
    assert found['buraq_tasks_processed_total{status="error",task_type="mail"}'] == 1
    assert found['buraq_tasks_failed_total{task_type="mail"}'] == 1
    assert found['buraq_tasks_dlq_total{task_type="mail"}'] == 1
    assert found['buraq_tasks_retried_total{task_type="mail"}'] == 1
    assert found['buraq_tasks_enqueued_total{task_type="mail"}'] == 3
    assert found['buraq_task_duration_seconds_count{task_type="mail"}'] == 2
    assert found['buraq_task_duration_seconds_sum{task_type="mail"}'] == pytest.approx(2.02)
    assert found['buraq_task_wait_seconds_bucket{le="3600.0",task_type="mail"}'] == 1
    assert found['buraq_task_wait_seconds_bucket{le="+Inf",task_type="mail"}'] == 2
    assert found["buraq_tasks_duplicate_total"] == 1
    assert found["buraq_tasks_reclaimed_total"] == 2
    assert found["buraq_tasks_lost_total"] == 1
    assert found["buraq_worker_panics_total"] == 1
    assert found['buraq_worker_slots{state="busy"}'] == 3
    assert found['buraq_worker_slots{state="free"}'] == 7
    assert found["buraq_channel_depth"] == 4
    assert found['buraq_hub_blocked_seconds_sum{task_type="mail"}'] == 0.5
    assert found['buraq_hub_blocked_seconds_bucket{le="0.5",task_type="mail"}'] == 1
    assert found["buraq_redis_up"] == 1


def test_what_holds_the_hub_and_is_no_task_has_a_label_of_its_own_and_no_task_can_invent_one() -> None:
    counting = TaskMetrics(known={"mail"})
    for task_type in ("mail", "invented", NO_TASK):
        counting.hub_blocked(task_type, 1.0)

    found = shown()
    held = {key.split('"')[1] for key in found if key.startswith("buraq_hub_blocked_seconds_count")}
    assert held == {"mail", "unknown", "none"}


def test_nothing_is_shown_twice_by_a_second_flush() -> None:
    counting = TaskMetrics()
    everything(counting)
    before = shown()
    counting.flush()

    assert shown() == before


def test_what_alerts_ask_for_starts_at_zero() -> None:
    TaskMetrics()

    zeros = {name for name, value in shown().items() if value == 0}
    assert zeros == {
        "buraq_worker_panics_total",
        "buraq_tasks_reclaimed_total",
        "buraq_tasks_lost_total",
        "buraq_tasks_duplicate_total",
    }


def test_every_name_is_listed_and_no_other_is_shown() -> None:
    everything(TaskMetrics())
    families = {line.split()[2] for line in render()[0].decode().splitlines() if line.startswith("# TYPE")}

    of_the_api = {"buraq_queue_tasks", "buraq_queue_oldest_task_age_seconds", "buraq_workers"}
    assert families == set(NAMES) - of_the_api


@pytest.mark.parametrize("tally", [Buckets, Values])
def test_a_batch_poured_into_a_histogram_looks_as_if_each_value_was_observed(tally: type) -> None:
    values = [0.0, 0.001, 0.005, 0.0051, 1, 1.0001, 59.9, 3600, 3600.1, 1e9, *BUCKETS]
    one, other = CollectorRegistry(), CollectorRegistry()
    observed = Histogram("h", "h", ["kind"], registry=one, buckets=BUCKETS).labels("a")
    poured = Histogram("h", "h", ["kind"], registry=other, buckets=BUCKETS).labels("a")
    batch = tally()
    for value in values:
        observed.observe(value)
        batch.add(value)
    batch.pour(poured)

    def samples(registry: CollectorRegistry) -> list[Any]:
        return [
            (s.name, s.labels, pytest.approx(s.value))
            for metric in registry.collect()
            for s in metric.samples
            if not s.name.endswith("_created")
        ]

    assert [(n, la, v.expected) for n, la, v in samples(one)] == samples(other)


def test_a_histogram_of_another_make_is_recognised() -> None:
    registry = CollectorRegistry()
    assert Buckets.fit(Histogram("a", "a", registry=registry, buckets=BUCKETS))
    assert not Buckets.fit(Histogram("b", "b", registry=registry, buckets=BUCKETS[1:]))
    assert not Buckets.fit(object())


def test_task_types_that_nobody_registered_are_one_series() -> None:
    counting = TaskMetrics(known={"mail"})
    for name in ("mail", "evil-1", "evil-2"):
        counting.completed(name, 0.1)
    counting.flush()

    processed = {name: value for name, value in shown().items() if "processed" in name}
    assert processed == {
        'buraq_tasks_processed_total{status="success",task_type="mail"}': 1,
        'buraq_tasks_processed_total{status="success",task_type="unknown"}': 2,
    }


def test_beyond_five_hundred_task_types_the_rest_is_other() -> None:
    for number in range(600):
        metrics.count_enqueued(f"type-{number}", 1)
    metrics.count_enqueued("type-3", 1)

    enqueued = {name: value for name, value in shown().items() if "enqueued" in name}
    assert len(enqueued) == 501
    assert enqueued['buraq_tasks_enqueued_total{task_type="other"}'] == 100
    assert enqueued['buraq_tasks_enqueued_total{task_type="type-3"}'] == 2


# --- Several processes --------------------------------------------------------------------------

TWO = """
import os, sys
from buraq import metrics

folder = metrics.prepare_multiprocess()
from buraq.metrics import TaskMetrics, render

def child(n):
    pid = os.fork()
    if pid == 0:
        counting = TaskMetrics()
        for _ in range(n):
            counting.completed("mail", 0.02, 0.01)
        counting.slots(n, 10)
        counting.channel_depth(n)
        counting.hub_blocked("mail", n)
        counting.redis_up(n != 3)
        counting.panic()
        counting.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    return pid

first, second = child(2), child(3)
print("all"); sys.stdout.write(render()[0].decode())
metrics.forget_process(second)
print("one"); sys.stdout.write(render()[0].decode())
print("folder", folder)
"""


def run(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_processes_add_up_and_one_that_died_takes_its_gauges_along() -> None:
    both, _, rest = run(TWO).removeprefix("all\n").partition("one\n")
    left, _, folder = rest.partition("folder ")
    before, after = read(both), read(left)

    assert before['buraq_tasks_processed_total{status="success",task_type="mail"}'] == 5
    assert before['buraq_task_duration_seconds_count{task_type="mail"}'] == 5
    assert before["buraq_worker_panics_total"] == 2
    assert before['buraq_worker_slots{state="busy"}'] == 5
    assert before['buraq_worker_slots{state="free"}'] == 15
    assert before["buraq_channel_depth"] == 5
    assert before['buraq_hub_blocked_seconds_sum{task_type="mail"}'] == 5
    assert before["buraq_redis_up"] == 0, "one of them does not reach it"
    assert after['buraq_tasks_processed_total{status="success",task_type="mail"}'] == 5
    assert after['buraq_worker_slots{state="busy"}'] == 2
    assert after['buraq_hub_blocked_seconds_sum{task_type="mail"}'] == 5, "that happened"
    assert after["buraq_redis_up"] == 1
    assert not Path(folder.strip()).exists(), "the folder goes with the process that made it"


MANY = """
import os, sys
from pathlib import Path
from buraq import metrics

folder = Path(metrics.prepare_multiprocess())
for n in range(20):
    pid = os.fork()
    if pid == 0:
        counting = metrics.TaskMetrics(known=["mail"])
        counting.completed("mail", 0.02, 0.001)
        counting.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    metrics.forget_process(pid)
(folder / "counter_1.db").touch()  # of one that died in its first moment
metrics.forget_process(1)
print(len(list(folder.glob("*.db"))))
sys.stdout.write(metrics.render()[0].decode())
"""


def test_processes_that_have_ended_leave_one_file_of_a_kind_however_many_they_were() -> None:
    files, _, text = run(MANY).partition("\n")
    found = read(text)

    assert int(files) <= 2
    assert found['buraq_tasks_processed_total{status="success",task_type="mail"}'] == 20
    assert found['buraq_task_duration_seconds_count{task_type="mail"}'] == 20
    assert found['buraq_task_duration_seconds_bucket{le="0.01",task_type="mail"}'] == 0
    assert found['buraq_task_duration_seconds_bucket{le="0.025",task_type="mail"}'] == 20


BROKEN_OFF = """
import os, resource, sys
from pathlib import Path
from buraq import metrics

folder = Path(metrics.prepare_multiprocess())
types = [f"{n:0100}" for n in range(300)]
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for known in (["mail", *types[:150]], ["mail", *types[150:]]):
    pid = os.fork()
    if pid == 0:
        counting = metrics.TaskMetrics(known=known)
        for name in known:
            counting.completed(name, 0.02, 0.001)
        counting.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    metrics.forget_process(pid)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(len(list(folder.glob("counter_*"))))
sys.stdout.write(metrics.render()[0].decode())
"""


def test_what_breaks_while_it_is_added_up_is_counted_once() -> None:
    files, _, text = run(BROKEN_OFF).partition("\n")

    assert files == "2", "together they are more than may be written into a file"
    assert read(text)['buraq_tasks_processed_total{status="success",task_type="mail"}'] == 2


PARENT = """
import os, sys
from pathlib import Path
from buraq import metrics

folder = Path(metrics.prepare_multiprocess())
pid = os.fork()
if pid == 0:
    counting = metrics.TaskMetrics(known=["mail"])
    counting.completed("mail", 0.02, 0.001)
    counting.flush()
    os._exit(0)
os.waitpid(pid, 0)
text = metrics.render(counting=False)[0].decode()
print(len(list(folder.glob(f"*_{os.getpid()}.db"))))
sys.stdout.write(text)
"""


def test_a_parent_that_counts_nothing_shows_the_figures_and_leaves_no_files_among_them() -> None:
    files, _, text = run(PARENT).partition("\n")

    assert files == "0"
    assert read(text)['buraq_tasks_processed_total{status="success",task_type="mail"}'] == 1


FOLDED = """
import fcntl, os
from pathlib import Path
from buraq import metrics

folder = Path(metrics.prepare_multiprocess())

def end_one(first=False):
    pid = os.fork()
    if pid == 0:
        counting = metrics.TaskMetrics(known=["mail"])
        if first:
            counting.completed("mail", 0.02, 0.001)
            counting.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    metrics.forget_process(pid)

end_one(first=True)
kept = folder / "histogram_gone.db"
print("holes", kept.stat().st_blocks * 512 < kept.stat().st_size)
was = kept.stat().st_ino
(folder / "histogram_1.db").write_bytes(bytes(1 << 16))  # of one that has counted nothing
metrics.forget_process(1)
print("written anew", kept.stat().st_ino != was)
with (folder / "folding.lock").open("ab") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    end_one()
    print("files", len(list(folder.glob("counter_*.db"))))
"""


def test_a_parent_is_neither_killed_by_a_full_disk_nor_held_up_by_who_holds_the_files() -> None:
    assert run(FOLDED).splitlines() == ["holes False", "written anew False", "files 2"]


ON_A_FULL_DISK = """
import os, resource, sys
from pathlib import Path
from buraq import metrics
from buraq.log import configure

folder = Path(metrics.prepare_multiprocess())
from buraq.metrics import backing
backing._AGAIN = 0.0
configure("text", stream=sys.stderr)

def limit(size):  # no file may be larger: to whoever asks for room that is as if the disk was full
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def count(task_type):
    metrics.count_enqueued(task_type, 1)
    found = [line for line in metrics.render()[0].decode().splitlines() if "tasks_enqueued_total{" in line]
    return len(found), [line.rpartition(" ")[2] for line in found if task_type in line]

"""
BEGUN = """
limit(30_000)
metrics.TaskMetrics().redis_up(True)
print(count("mail"), [path.name for path in folder.glob("*.*b*")])
limit(resource.RLIM_INFINITY)
print(count("mail"))
"""
GROWN = """
count("first")
limit(1 << 16)
for n in range(400):
    metrics.count_enqueued("t%d-%s" % (n, "x" * 200), 1)
shown, first = count("first")
print(100 < shown < 400, first)
limit(resource.RLIM_INFINITY)
print(count("t399-"))
"""


def test_what_a_process_counts_has_its_room_on_the_disk_before_it_is_written() -> None:
    code = """
from pathlib import Path
from buraq import metrics

folder = Path(metrics.prepare_multiprocess())
for count in (1, 400):
    for n in range(count):
        metrics.count_enqueued("t%d-%s" % (n, "x" * 200), 1)
    files = [path.stat() for path in folder.glob("counter_*.db")]
    print([(file.st_size, file.st_blocks * 512 >= file.st_size) for file in files])
"""
    assert run(code).splitlines() == ["[(65536, True)]", "[(262144, True)]"]


def test_a_process_that_begins_on_a_full_disk_goes_on_and_shows_its_figures_when_there_is_room() -> None:
    full, then = run(ON_A_FULL_DISK + BEGUN).splitlines()

    assert full == "(0, []) []", "no half-made file, which no process could read"
    assert then == "(1, ['2.0'])"


def test_a_process_whose_disk_fills_up_goes_on_and_shows_what_had_its_room_before() -> None:
    full, then = run(ON_A_FULL_DISK + GROWN).splitlines()

    assert full == "True ['2.0']"
    assert then.endswith("['1.0'])")


def test_a_folder_of_ones_own_is_used_and_what_the_dead_left_there_is_forgotten(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f"counter_{gone.pid}.db").write_bytes(b"")
    (tmp_path / f"gauge_livesum_{os.getpid()}.db").write_bytes(b"")

    code = "from buraq.metrics import prepare_multiprocess; print(prepare_multiprocess())"
    assert run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)).strip() == str(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [f"gauge_livesum_{os.getpid()}.db"]


def test_preparing_twice_keeps_what_was_counted() -> None:
    code = """
import os, sys
from buraq import metrics

metrics.prepare_multiprocess()
pid = os.fork()
if pid == 0:
    metrics.count_enqueued("mail", 2)
    os._exit(0)
os.waitpid(pid, 0)
metrics.prepare_multiprocess()
sys.stdout.write(metrics.render()[0].decode())
"""

    assert read(run(code))['buraq_tasks_enqueued_total{task_type="mail"}'] == 2


def test_prepared_too_late_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)

    with pytest.raises(RuntimeError, match="prometheus_client was imported before"):
        metrics.prepare_multiprocess()


# --- The gauges of queues -----------------------------------------------------------------------


@pytest.fixture
def inspector(server: Server, redis: Redis) -> Inspector:
    return Inspector(Backend(Config.from_env({"REDIS_URL": server.url})))


def collected(collector: QueueCollector) -> dict[str, float]:
    return read(render([collector])[0].decode())


def test_the_gauges_of_every_known_queue_are_always_there(inspector: Inspector, redis: Redis) -> None:
    redis.sadd("buraq_tasks:queues", "mail")
    redis.xadd("buraq_tasks:mail", {"payload": "{}"})

    found = collected(QueueCollector(inspector))

    for queue in ("default", "mail"):
        for state in ("waiting", "running", "scheduled", "dead"):
            expected = 1 if (queue, state) == ("mail", "waiting") else 0
            assert found[f'buraq_queue_tasks{{queue="{queue}",state="{state}"}}'] == expected
    assert 'buraq_queue_oldest_task_age_seconds{queue="default"}' in found
    assert (found["buraq_workers"], found["buraq_redis_up"]) == (0, 1)


def test_the_server_is_asked_once_in_so_many_seconds(inspector: Inspector, redis: Redis) -> None:
    collector = QueueCollector(inspector, seconds=60)  # by itself it is one, which may be over here
    collected(collector)
    redis.xadd("buraq_tasks", {"payload": "{}"})
    series = 'buraq_queue_tasks{queue="default",state="waiting"}'

    assert collected(collector)[series] == 0
    assert collected(QueueCollector(inspector, seconds=0))[series] == 1


def test_with_the_server_away_that_alone_is_shown(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    server.kill()
    away = Inspector(Backend(Config.from_env({"REDIS_URL": server.url})))

    found = collected(QueueCollector(away))

    assert found["buraq_redis_up"] == 0
    assert not any(name.startswith(("buraq_queue_", "buraq_workers")) for name in found)


@pytest.mark.parametrize(
    ("key", "unread"),
    [
        ("buraq_tasks:post_dlq", {"dead"}),
        ("buraq_tasks:post:scheduled", {"scheduled"}),
        ("buraq_tasks:post_low", {"waiting", "running"}),
        ("buraq_tasks:post:leases", set()),
    ],
)
def test_a_key_that_was_overwritten_hides_only_its_own_figures_and_the_server_is_up(
    inspector: Inspector, redis: Redis, key: str, unread: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    redis.sadd("buraq_tasks:queues", "post", "zeta")
    redis.delete(key)
    redis.rpush(key, "of the wrong type")

    found = collected(QueueCollector(inspector))

    assert found["buraq_redis_up"] == 1
    for queue in ("default", "post", "zeta"):
        for state in ("waiting", "running", "scheduled", "dead"):
            shown = f'buraq_queue_tasks{{queue="{queue}",state="{state}"}}' in found
            assert shown == (queue != "post" or state not in unread), (queue, state)
    assert key in [getattr(record, "broken_key", None) for record in caplog.records]


def test_a_server_that_refuses_to_name_its_queues_is_up(inspector: Inspector, redis: Redis) -> None:
    redis.set("buraq_tasks:queues", "of the wrong type")

    assert collected(QueueCollector(inspector))["buraq_redis_up"] == 1


def test_what_a_collector_says_wins_over_the_processes_own(inspector: Inspector) -> None:
    TaskMetrics().redis_up(False)

    text = render([QueueCollector(inspector)])[0].decode()

    assert text.count("# TYPE buraq_redis_up") == 1
    assert read(text)["buraq_redis_up"] == 1
