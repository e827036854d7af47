"""Finds the queue that a command line target means: `module`, `module:queue`, `module:app.queue`, `module:create_app`.

A target may also be a Flask app, or a function that makes one: then it is the queue that joined the app.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from buraq.app import Buraq
from buraq.errors import BuraqError, ConfigError, close_match
from buraq.function import TaskFunction

_TRACEBACK_LINES = 12
_USUAL_NAMES = ("queue", "app", "application")  # looked at in this order in a module that has no queue by itself
_FACTORIES = ("create_app", "make_app", "create_queue")


class TargetError(BuraqError):
    """A target names nothing that holds a queue; the message says what is there instead."""

    def __init__(self, target: str, problem: str) -> None:
        super().__init__(f"target {target!r}: {problem}")
        self.target = target
        self.problem = problem


def load(target: str) -> Buraq:
    """Return the queue that `target` means, importing its module. The current folder is importable from then on.

    Raises `TargetError` when there is none, `ConfigError` when its module met a wrong setting.
    """
    name, _, path = target.strip().partition(":")
    if not name or name.startswith(".") or name.endswith((".", ".py")) or "/" in name:
        guess = name.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"; did you mean {guess + (':' + path if path else '')!r}?" if guess else ""
        raise TargetError(target, f"it takes a module as in an import, module:queue or package.module:queue{hint}")
    module = _import(target, name)
    if not path:
        return _queue_of_module(target, module)
    value: Any = module
    for step in path.removesuffix("()").split("."):
        value = _member(target, value, step)
    return _queue_of(target, value)


def _import(target: str, name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise TargetError(target, f"importing {name} failed:\n{_end_of_traceback(error)}") from error
        guess = close_match(name, _modules_beside(here, name))
        hint = f"; did you mean {guess!r}?" if guess else "; start in the folder that holds it, or set PYTHONPATH"
        raise TargetError(target, f"there is no module {error.name!r} in {here} or on Python's path{hint}") from None
    except (Exception, SystemExit) as error:  # as with a factory
        raise TargetError(target, f"importing {name} failed:\n{_end_of_traceback(error)}") from error


def _modules_beside(here: str, name: str) -> list[str]:
    """Return the modules that may have been meant: those in the current folder, and in the package that was named."""
    found = [module.name for module in pkgutil.iter_modules([here])]
    package = name.rpartition(".")[0]
    if package:
        folder = Path(here, *package.split("."))
        found += [f"{package}.{module.name}" for module in pkgutil.iter_modules([str(folder)])]
    return found


def _end_of_traceback(error: BaseException) -> str:
    """Return the last lines of a traceback, without the frames of the import system and of this file."""
    report = traceback.TracebackException.from_exception(error)
    report.stack = traceback.StackSummary.from_list(
        [frame for frame in report.stack if frame.filename != __file__ and "importlib" not in frame.filename]
    )
    lines = "".join(report.format(chain=False)).rstrip().splitlines()
    shown = lines if len(lines) <= _TRACEBACK_LINES else ["  …", *lines[-_TRACEBACK_LINES:]]
    return "\n".join(f"  {line}" for line in shown)


def _member(target: str, owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        pass
    what = f"module {owner.__name__}" if isinstance(owner, ModuleType) else f"{type(owner).__name__}"
    names = [known for known in dir(owner) if not known.startswith("_")]
    guess = close_match(name, names)
    hint = f"; did you mean {guess!r}?" if guess else f". {_listed(names)}"
    raise TargetError(target, f"{what} has no {name!r}{hint}")


def _queue_of_module(target: str, module: ModuleType) -> Buraq:
    """Return the one queue of a module, else the one that goes by a usual name."""
    queues = {name: value for name, value in vars(module).items() if isinstance(value, Buraq)}
    if len({id(queue) for queue in queues.values()}) == 1:
        return next(iter(queues.values()))
    if queues:
        if "queue" in queues:
            return queues["queue"]
        named = " or ".join(f"{target}:{name}" for name in sorted(queues))
        raise TargetError(target, f"module {module.__name__} has several queues, name one: {named}")
    for name in _USUAL_NAMES:
        value = getattr(module, name, None)
        if _is_flask(value):
            return _queue_of(f"{target}:{name}", value)
    factory = next((name for name in _FACTORIES if callable(getattr(module, name, None))), None)
    if factory:
        raise TargetError(target, f"module {module.__name__} has no queue; did you mean {f'{target}:{factory}'!r}?")
    names = [name for name in vars(module) if not name.startswith("_")]
    raise TargetError(
        target, f"module {module.__name__} has no queue: it takes a `queue = Buraq()` in it. {_listed(names)}"
    )


def _queue_of(target: str, value: Any) -> Buraq:
    """Return the queue that `value` is, holds or makes."""
    queue = _as_queue(target, value)
    if queue is not None:
        return queue
    if isinstance(value, TaskFunction):
        raise TargetError(target, f"it is a task function; a target is the queue that it is registered with ({value})")
    if isinstance(value, type) or not callable(value):
        raise TargetError(target, f"it is {_kind(value)}, and not a Buraq, a Flask app, or a function that makes one")
    try:
        made = value()
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # user code; one that ends the process is as broken as one that raises
        raise TargetError(target, f"calling it failed:\n{_end_of_traceback(error)}") from error
    queue = _as_queue(target, made)
    if queue is None:
        raise TargetError(target, f"it returned {_kind(made)}, and not a Buraq or a Flask app")
    return queue


def _as_queue(target: str, value: Any) -> Buraq | None:
    if isinstance(value, Buraq):
        return value
    if not _is_flask(value):
        return None
    extension = value.extensions.get("buraq")
    if extension is None:
        raise TargetError(target, f"the Flask app {value.name!r} has no queue: call queue.init_app(app) on it")
    queue: Buraq = extension.queue
    return queue


def _is_flask(value: Any) -> bool:
    # Whoever made a Flask app has imported flask, so this module need not.
    flask = sys.modules.get("flask")
    return flask is not None and isinstance(value, flask.Flask)


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def _listed(names: Iterable[str], at_most: int = 15) -> str:
    known = sorted(names)
    if not known:
        return "It has no names of its own"
    more = f" and {len(known) - at_most} more" if len(known) > at_most else ""
    return f"It has {', '.join(known[:at_most])}{more}"
