"""What Prometheus reads: the figures of all processes together, and of the queues where they are asked for."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buraq.metrics.folding import reading
from buraq.metrics.processes import FOLDER, is_ours
from buraq.metrics.queues import QueueCollector
from buraq.metrics.series import NAMES, series

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector


class _Ours:
    """Our metrics out of a collector's, which may hold those of the program around us, without what is in `taken`."""

    def __init__(self, source: Any, taken: Container[str]) -> None:
        self._source = source
        self._taken = taken

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            if name in NAMES and name not in self._taken:
                # When a series began is of no use to anybody, and doubles their number.
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric


class _Undisturbed:
    """A collector that reads files of a folder, while nobody changes which there are."""

    def __init__(self, source: Any, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def collect(self) -> Any:
        with reading(self._folder):
            return self._source.collect()


class _Found:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def render(extra_collectors: Iterable[Collector | QueueCollector] = (), *, counting: bool = True) -> tuple[bytes, str]:
    """Return the metrics as Prometheus reads them, and their content type.

    Adds up all processes that share a folder, see `prepare_multiprocess`. What `extra_collectors` yield wins over a
    metric of the same name. A process that counts nothing itself, `counting` false, leaves no files of its own there.

    Raises `OSError` when the folder cannot be read, or not within a second, and one of `UNREADABLE`.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client.multiprocess import MultiProcessCollector

    # Made first: a process that has counted nothing still shows its zeros.
    own: Any = series().registry if counting else CollectorRegistry()
    extra = [metric for collector in extra_collectors for metric in collector.collect()]
    folder = os.environ.get(FOLDER)
    if folder and Path(folder).is_dir():
        own = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]
        own = _Undisturbed(own, Path(folder)) if is_ours(folder) else own
    registry = CollectorRegistry()
    registry.register(_Ours(own, {metric.name for metric in extra}))
    if extra:
        registry.register(_Found(extra))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
