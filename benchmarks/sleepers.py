"""How many one-second tasks does one process have waiting at once: tasks a second, memory, lag of the wake-ups?"""

from __future__ import annotations

from benchmarks.children import Child, work_off
from benchmarks.harness import Figures, fresh_server, measure, parser
from benchmarks.histogram import Histogram
from benchmarks.work import enqueue_sleepers


def run(tasks: int) -> Figures:
    """One run: as many slots as tasks, which all wait before the worker starts."""
    with fresh_server() as client:
        enqueue_sleepers(client, tasks)
        with Child("consume", client, "--slots", tasks) as worker:
            figures, [told] = work_off(client, [worker])
    lag = Histogram(told["waits"]).figures()
    return figures | {f"lag {name}": lag[name] for name in ("p50 ms", "p99 ms", "max ms")}


def main() -> None:
    """Run all cases."""
    arguments = parser(__doc__)
    arguments.add_argument("--tasks", type=int, nargs="*", default=[10_000, 20_000], help="and as many slots")
    options = arguments.parse_args()
    if options.quick:
        options.tasks = [100]
    measure("sleepers", {f"{tasks:,} sleepers": lambda tasks=tasks: run(tasks) for tasks in options.tasks}, options)


if __name__ == "__main__":
    main()
