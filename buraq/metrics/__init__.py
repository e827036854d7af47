"""Prometheus metrics: what is counted, how a worker process counts it cheaply, and how several processes answer as one.

prometheus-client decides at its import whether processes share their figures through files, so this package imports it
only when the first figure is needed: call `prepare_multiprocess()` before that.
"""

from buraq.metrics.counting import TaskMetrics
from buraq.metrics.exposition import render
from buraq.metrics.folding import UNREADABLE
from buraq.metrics.processes import forget_process, prepare_multiprocess
from buraq.metrics.queues import QueueCollector
from buraq.metrics.series import NAMES, NO_TASK, UNKNOWN, count_enqueued

__all__ = [
    "NAMES",
    "NO_TASK",
    "UNKNOWN",
    "UNREADABLE",
    "QueueCollector",
    "TaskMetrics",
    "count_enqueued",
    "forget_process",
    "prepare_multiprocess",
    "render",
]
