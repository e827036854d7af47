"""A task holds the hub of its process for too long: health says so, and in the end others take over."""

import os
import re
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest
import ujson

from tests.faults.conftest import Group, Ledger, nothing_left
from tests.servers import PATIENCE, eventually

pytestmark = pytest.mark.e2e


def health(group: Group, path: str) -> tuple[int, list[str]]:
    """Return status and problems of a probe of a group."""
    port = eventually(lambda: re.search(r"localhost:(\d+)/metrics", group.log.read_text()))[1]  # type: ignore[index]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE) as answer:
            return answer.status, ujson.loads(answer.read())["problems"]
    except urllib.error.HTTPError as refused:
        return refused.code, ujson.loads(refused.read())["problems"]


def running(ledger: Ledger, task: str) -> bool:
    return task in ledger.starts()


def test_past_ten_seconds_of_a_blocked_hub_the_group_is_not_ready_and_still_alive(
    group: Any, queue: Any, ledger: Ledger, redis: Any
) -> None:
    workers = group(processes=2).consuming()
    assert (health(workers, "readyz"), health(workers, "livez")) == ((200, []), (200, []))
    hot = queue.enqueue("burn", {"seconds": 20}).id
    eventually(lambda: running(ledger, hot))

    _, [problem] = eventually(lambda: seen if (seen := health(workers, "readyz"))[0] == 503 else None)  # type: ignore[misc]

    assert re.fullmatch(r"process \d+: a task of type burn has let nothing else run for 1\d s", problem)
    assert health(workers, "livez") == (200, [])
    eventually(lambda: hot in ledger.ended())
    eventually(lambda: health(workers, "readyz") == (200, []))
    said = [ujson.loads(line) for line in workers.log.read_text().splitlines() if "hub blocked" in line]
    said = [line for line in said if "task_id" in line]  # on a slow machine an import may block it, too
    assert [(line["task_id"], line["task_type"]) for line in said] == [(hot, "burn")]
    assert re.search(r"/tests/faults/ledger_app\.py:\d+ burn$", said[0]["at"])
    assert workers.stop() == 0


def test_the_only_process_of_a_group_is_answered_for_while_a_task_holds_it(
    group: Any, queue: Any, ledger: Ledger, redis: Any
) -> None:
    lone = group().consuming()
    [pid] = lone.workers()
    hot = queue.enqueue("burn", {"seconds": 20}).id
    eventually(lambda: running(ledger, hot))

    assert health(lone, "livez") == (200, [])
    _, [problem] = eventually(lambda: seen if (seen := health(lone, "readyz"))[0] == 503 else None)  # type: ignore[misc]

    assert re.fullmatch(rf"process {pid}: a task of type burn has let nothing else run for 1\d s", problem)
    assert health(lone, "livez") == (200, [])
    assert hot not in ledger.ended(), "the task was still at it"
    eventually(lambda: hot in ledger.ended())
    eventually(lambda: health(lone, "readyz") == (200, []))
    assert lone.workers() == [pid]
    assert lone.stop() == 0


def test_past_max_blocked_others_take_over_what_a_blocked_process_has(
    group: Any, queue: Any, ledger: Ledger, redis: Any
) -> None:
    stuck = group(LEASE_TTL="1s", MAX_BLOCKED="2s").consuming()
    [pid] = stuck.workers()
    neighbours = {queue.enqueue("nap", {"seconds": 4}).id for _ in range(10)}
    eventually(lambda: ledger.starts().keys() == neighbours)
    hot = queue.enqueue("burn", {"seconds": 30}, max_retries=0).id
    eventually(lambda: running(ledger, hot))
    group(LEASE_TTL="1s", MAX_BLOCKED="2s").consuming()

    eventually(lambda: ledger.ended() == neighbours)

    assert stuck.workers() == [pid], "it is still blocked"
    assert pid not in {line.pid for line in ledger.lines("end")}
    assert {line.attempt for line in ledger.lines()} == {1}
    eventually(lambda: redis.xlen("buraq_tasks_dlq") == 1)
    eventually(lambda: nothing_left(redis))
    [line] = [line for line in stuck.log.read_text().splitlines() if "lease let go" in line]
    assert hot in line
    os.kill(pid, signal.SIGKILL)  # it would be at it for a while
    stuck.says("consuming", 2)
