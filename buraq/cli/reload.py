"""`buraq worker --reload`: runs the worker as a child, and starts it again when a .py file changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
import gevent

from buraq.cli.children import Child, Signals, stop_signals
from buraq.cli.failures import USAGE, Failure

STOP_GRACE = 10.0  # seconds above SHUTDOWN_TIMEOUT before the child is killed
_LOOK = 0.3  # seconds between two looks at the child and at the signals


def reload_on_change(arguments: Sequence[str], folders: Sequence[str], shutdown_timeout: float) -> int:
    """Run `buraq` with these arguments until told to stop, and anew after each change. Returns the exit code.

    The one that runs drains before the next one starts. One that has ended by itself, because it could not start most
    likely, is started again by the next change. Raises `Failure` when watchfiles is not installed.
    """
    grace = shutdown_timeout + STOP_GRACE
    with stop_signals() as signals, _Watch(folders) as watch:
        child = Child("worker", arguments)
        said = False
        while not signals.count:
            changed = watch.changed(signals)
            if changed and not signals.count:
                click.echo(f"{changed} changed: the worker starts again", err=True)
                child.stop(grace, signals)
                if signals.count:
                    break
                child = Child("worker", arguments)
                said = False
            elif child.status is not None and not said:
                click.echo(f"The worker ended with status {child.status}. Change a file to start it again.", err=True)
                said = True
        child.stop(grace, signals)
    return 0


class _Watch:
    """Watches folders for changes of .py files. It looks in a thread, and lets go when the block ends."""

    def __init__(self, folders: Sequence[str]) -> None:
        try:
            import watchfiles
        except ImportError:
            raise Failure("--reload needs watchfiles: pip install 'buraq-queue[reload]'", USAGE) from None
        self._ended = False
        self._changes: Iterator[Any] = watchfiles.watch(
            *folders,
            watch_filter=watchfiles.PythonFilter(),
            debounce=400,
            step=50,
            stop_event=self,
            rust_timeout=int(_LOOK * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        self._pool = gevent.get_hub().threadpool

    def is_set(self) -> bool:
        """Whether watching is over; watchfiles asks."""
        return self._ended

    def changed(self, signals: Signals) -> str:
        """Return the first path that changed, after a moment at most; empty when none did."""
        changes = self._pool.spawn(next, self._changes, None).get()
        return min((path for _, path in changes), default="") if changes else ""

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended = True
