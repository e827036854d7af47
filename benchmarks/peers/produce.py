"""The enqueueing side of any system: `produce.py MODULE one|bulk noop|sleep TASKS`, its figures as JSON.

The module has `one(task, payloads)`, and `bulk(task, payloads)` where the system has a way to enqueue many at once;
plain functions or coroutine functions. It does not count how long the process and its connection take to begin.
"""

import asyncio
import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import stopwatch

WARM_UP = 10

Payloads = list[dict[str, Any]]
PAYLOADS: dict[str, Callable[[int], dict[str, Any]]] = {
    "noop": lambda number: {"user_id": number, "template": "welcome"},
    "sleep": lambda number: {"seconds": 1.0},
}


async def _in_loop(module: Any, way: Callable[..., Any], task: str, batches: list[Payloads]) -> tuple[float, float]:
    async with module.connected():
        if batches[0]:
            await way(task, batches[0])
        begun, used = time.monotonic(), stopwatch.cpu()
        await way(task, batches[1])
        return time.monotonic() - begun, stopwatch.cpu() - used


def main() -> None:
    """Enqueue."""
    name, how, task, tasks, *cold = sys.argv[1:]
    module = importlib.import_module(name)
    way = getattr(module, how, None) or module.one
    payloads = [PAYLOADS[task](number) for number in range(int(tasks))]
    batches = [[] if cold else payloads[:WARM_UP], payloads]  # what a worker is to run is counted, so nothing beside it
    if inspect.iscoroutinefunction(way):
        seconds, used = asyncio.run(_in_loop(module, way, task, batches))
    else:
        if batches[0]:
            way(task, batches[0])
        begun, used = time.monotonic(), stopwatch.cpu()
        way(task, payloads)
        seconds, used = time.monotonic() - begun, stopwatch.cpu() - used
    print(json.dumps({"seconds": seconds, "cpu": used, "bulk": hasattr(module, "bulk")}))


if __name__ == "__main__":
    main()
