"""The enqueueing side of any system: `submit.py MODULE`, one task a line on standard input, `nap|burn TASK SECONDS`.

The module has `send(kind, task, seconds)`, a plain or a coroutine function. What it has enqueued without an error is
accepted.
"""

import asyncio
import importlib
import inspect
import sys
from typing import Any

import book


def _plain(module: Any) -> None:
    for line in sys.stdin:
        kind, task, seconds = line.split()
        try:
            module.send(kind, task, float(seconds))
        except Exception as error:
            _refused(task, error)
        else:
            book.note("accepted", task)


async def _in_loop(module: Any) -> None:
    loop = asyncio.get_running_loop()
    async with module.connected():
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            kind, task, seconds = line.split()
            try:
                await module.send(kind, task, float(seconds))
            except Exception as error:
                _refused(task, error)
            else:
                book.note("accepted", task)


def _refused(task: str, error: Exception) -> None:
    book.note("refused", task)
    print(f"{task}: {error!r}", file=sys.stderr)


if __name__ == "__main__":
    named = importlib.import_module(sys.argv[1])
    if inspect.iscoroutinefunction(named.send):
        asyncio.run(_in_loop(named))
    else:
        _plain(named)
