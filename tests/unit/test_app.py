"""Registering task functions, and what an enqueue checks before anything is sent."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import fakeredis
import pytest
import ujson

from buraq.app import Buraq
from buraq.config import Config
from buraq.errors import DuplicateTaskType, PayloadError, PayloadTooLarge
from buraq.function import TaskFunction
from buraq.retry import Backoff


@pytest.fixture
def redis() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def app(redis: fakeredis.FakeRedis) -> Buraq:
    return Buraq(client=redis)


def sent(redis: fakeredis.FakeRedis, stream: str = "buraq_tasks") -> list[dict[str, Any]]:
    """Return the tasks in a stream, as they were written."""
    return [ujson.loads(fields["payload"]) for _, fields in redis.xrange(stream)]


# -- registering


def test_a_bare_decorator_registers_under_the_name_of_the_function(app: Buraq) -> None:
    @app.task
    def greet(name: str) -> str:
        """Say hello."""
        return f"hello {name}"

    assert app.registry == {"greet": greet}
    assert (greet.name, greet.queue, greet.__name__, greet.__doc__) == ("greet", "default", "greet", "Say hello.")
    assert greet("ada") == "hello ada"
    assert repr(greet) == "<TaskFunction 'greet'>"


def test_a_decorator_with_options_keeps_them(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    @app.task(
        name="mail.send",
        queue="mail",
        priority="high",
        max_retries=5,
        timeout=timedelta(seconds=1.5),
        concurrency=50,
        keep_result=True,
    )
    def send(user_id: int) -> None: ...

    send.enqueue(1)

    assert (send.name, send.queue, send.concurrency, send.keep_result) == ("mail.send", "mail", 50, True)
    [task] = sent(redis, "buraq_tasks:mail_high")
    assert task["type"] == "mail.send"
    assert (task["priority"], task["max_retries"], task["timeout"]) == ("high", 5, 1_500_000_000)


def test_an_empty_pair_of_parentheses_works_too(app: Buraq) -> None:
    @app.task()
    def f() -> None: ...

    assert isinstance(f, TaskFunction)


def test_a_task_type_can_be_taken_once(app: Buraq) -> None:
    @app.task(name="mail")
    def first() -> None: ...

    with pytest.raises(DuplicateTaskType, match=r"'mail'.*first and by .*second.*name=") as raised:

        @app.task(name="mail")
        def second() -> None: ...

    assert raised.value.first.endswith("first")
    assert app.registry["mail"] is first


async def coroutine() -> None: ...


async def async_generator() -> Any:
    yield 1


def generator() -> Iterator[int]:
    yield 1


def positional_only(a: int, /, b: int) -> None: ...


def var_positional(a: int, *rest: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "lesson"),
    [
        (coroutine, "coroutine is async: .*Write it as def"),
        (async_generator, "async_generator is async: .*Write it as def"),
        (generator, "generator is a generator: .*Return a list"),
        (positional_only, "positional_only: a: int has no name in the payload. Name it"),
        (var_positional, r"var_positional: \*rest: int has no name in the payload"),
    ],
)
def test_a_function_that_cannot_be_a_task_is_refused_with_the_reason(app: Buraq, function: Any, lesson: str) -> None:
    with pytest.raises(TypeError, match=lesson):
        app.task(function)
    assert app.registry == {}


@pytest.mark.parametrize("thing", [partial(print, "x"), object(), "email"])
def test_what_is_no_function_is_refused_with_the_way_out(app: Buraq, thing: Any) -> None:
    with pytest.raises(TypeError, match=r"a task is a function: .*def"):
        app.task(thing)


def test_a_task_function_is_not_registered_again(app: Buraq) -> None:
    @app.task
    def f() -> None: ...

    with pytest.raises(TypeError, match=r"a task is a function: .*def"):
        app.task(name="other")(f)


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"queue": "a:b"}, ValueError, "queue 'a:b'"),
        ({"queue": "mail_dlq"}, ValueError, "'mail_dlq'.*collides"),
        ({"queue": 7}, ValueError, "queue=7"),
        ({"priority": "urgent"}, ValueError, "priority='urgent': it is high, normal or low"),
        ({"priority": []}, ValueError, "priority="),
        ({"max_retries": -1}, ValueError, "max_retries=-1"),
        ({"max_retries": True}, ValueError, "max_retries=True"),
        ({"max_retries": 1 << 40}, ValueError, "max_retries=1099511627776"),
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"timeout": math.nan}, ValueError, "timeout=nan"),
        ({"timeout": math.inf}, ValueError, "timeout=inf"),
        ({"timeout": 1e12}, ValueError, "timeout=1000000000000.0"),
        ({"timeout": 1e-10}, ValueError, "timeout=1e-10"),
        ({"timeout": "soon"}, ValueError, "timeout='soon'"),
        ({"timeout": None, "backoff": -1}, ValueError, "backoff=-1"),
        ({"backoff": "soon"}, ValueError, "backoff='soon'"),
        ({"concurrency": 0}, ValueError, "concurrency=0"),
        ({"concurrency": 1.5}, ValueError, "concurrency=1.5"),
        ({"pool": "thread"}, ValueError, "pool='thread'"),
        ({"retry_on": "IOError"}, ValueError, "retry_on.*'IOError'"),
        ({"dont_retry_on": (OSError, 3)}, ValueError, "dont_retry_on.*3"),
        ({"name": 7}, ValueError, "name=7"),
        ({"retries": 3}, TypeError, "retries"),
        ({"id": "a"}, TypeError, r"id=.*\.options\("),
        ({"delay": 5}, TypeError, r"delay=.*\.options\("),
    ],
)
def test_a_wrong_option_of_a_task_function_is_named(
    app: Buraq, options: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):

        @app.task(**options)
        def f() -> None: ...

    assert app.registry == {}


def test_backoff_comes_in_four_forms(app: Buraq) -> None:
    def delay_of(backoff: Any) -> float:
        task = Buraq(client=fakeredis.FakeRedis()).task(backoff=backoff)(lambda: None)
        return float(task.policy.delay(3, rand=lambda: 1.0))

    assert delay_of(2) == 2.0
    assert delay_of(timedelta(minutes=1)) == 60.0
    assert delay_of(lambda attempt: attempt * 10) == 30.0
    assert delay_of(Backoff(base=1, cap=100)) == 4.0
    assert delay_of(None) == Config().retry_backoff * 4


# -- arguments


def test_arguments_are_bound_to_their_names(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    @app.task
    def f(a: int, b: str = "x", *, c: bool = False, **more: Any) -> None: ...

    f.enqueue(1)
    f.enqueue(1, "y", c=True)
    f.enqueue(b="z", a=2, d=[1, {"e": None}])

    assert [task["payload"] for task in sent(redis)] == [
        {"a": 1},
        {"a": 1, "b": "y", "c": True},
        {"a": 2, "b": "z", "d": [1, {"e": None}]},
    ]


@pytest.mark.parametrize(
    ("args", "kwargs", "complaint"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"a": 2}, "multiple values for argument 'a'"),
        ((1,), {"c": 2}, "has no argument 'c'; it has a, b"),
    ],
)
def test_a_call_that_could_not_be_made_is_not_sent(
    app: Buraq, redis: fakeredis.FakeRedis, args: Any, kwargs: Any, complaint: str
) -> None:
    @app.task
    def f(a: int, b: int = 0) -> None: ...

    with pytest.raises(TypeError, match=complaint):
        f.enqueue(*args, **kwargs)
    assert redis.keys() == []


class Order:
    pass


@pytest.mark.parametrize(
    ("value", "path", "complaint"),
    [
        (Decimal("1.5"), "order", "Decimal is not JSON"),
        ({"lines": [{"price": Decimal(1)}]}, r"order\.lines\[0\]\.price", "Decimal"),
        ([0, math.nan], r"order\[1\]", "not a finite number"),
        (math.inf, "order", "not a finite number"),
        ({1: 2}, "order", "the key 1 is not a text"),
        ({"at": datetime(2026, 1, 1)}, r"order\.at", r"isoformat\(\)"),
        ({1, 2}, "order", "set is not JSON"),
        (b"x", "order", "bytes is not JSON"),
        (Order(), "order", "Order is not JSON"),
    ],
)
def test_a_value_that_is_not_json_is_named_and_nothing_is_sent(
    app: Buraq, redis: fakeredis.FakeRedis, value: Any, path: str, complaint: str
) -> None:
    @app.task
    def f(order: Any) -> None: ...

    with pytest.raises(PayloadError, match=f"^{path}: .*{complaint}"):
        f.enqueue(value)
    assert redis.keys() == []


def test_a_payload_over_the_limit_is_not_sent(redis: fakeredis.FakeRedis) -> None:
    app = Buraq(client=redis, max_payload_bytes=1000)

    with pytest.raises(PayloadTooLarge, match="MAX_PAYLOAD_BYTES=1000"):
        app.enqueue("t", {"text": "x" * 1000})
    assert redis.keys() == []


def test_a_name_that_is_not_text_is_refused(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    @app.task
    def f(**anything: Any) -> None: ...

    with pytest.raises(TypeError, match="1"):
        f.enqueue_many([{1: 2}])  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="1"):
        app.enqueue("unknown", {1: 2})  # type: ignore[dict-item]
    assert redis.keys() == []


# -- options of one enqueue


def test_options_leave_the_task_function_as_it_was(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    @app.task(max_retries=1)
    def f(a: int) -> None: ...

    other = f.options(id="x", queue="bulk", priority="low", max_retries=9, timeout=2, idempotency_key="k")
    other.enqueue(1)
    f.enqueue(2)

    [bulk], [plain] = sent(redis, "buraq_tasks:bulk_low"), sent(redis)
    assert (bulk["id"], bulk["max_retries"], bulk["idempotency_key"], bulk["timeout"]) == ("x", 9, "k", 2_000_000_000)
    assert plain["max_retries"] == 1
    assert not {"priority", "timeout", "idempotency_key"} & plain.keys()
    assert redis.get("idemp:k") == "x"
    assert app.registry["f"] is f


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"delay": -1}, "delay=-1"),
        ({"delay": "soon"}, "delay='soon'"),
        ({"delay": math.nan}, "delay=nan"),
        ({"at": datetime(2026, 1, 1)}, "no time zone"),
        ({"at": -5}, "at=-5"),
        ({"at": "tomorrow"}, "at='tomorrow'"),
        ({"delay": 1, "at": 1e9}, "delay= and at="),
        ({"id": ""}, "id=''"),
        ({"id": 7}, "id=7"),
        ({"idempotency_key": "k" * 513}, "idempotency_key='k"),
        ({"queue": ""}, "queue ''"),
    ],
)
def test_a_wrong_option_of_an_enqueue_is_named(
    app: Buraq, redis: fakeredis.FakeRedis, options: dict[str, Any], complaint: str
) -> None:
    @app.task
    def f() -> None: ...

    with pytest.raises(ValueError, match=complaint):
        f.options(**options)
    with pytest.raises(ValueError, match=complaint):
        app.enqueue("f", **options)
    assert redis.keys() == []


def test_delay_and_at_say_when(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    for n, options in enumerate(({"delay": timedelta(days=1)}, {"at": moment}, {"at": moment.timestamp()})):
        app.enqueue("t", id=str(n), **options)
    app.enqueue("t", id="now", delay=0)
    app.enqueue("t", id="past", at=1)

    due = dict(redis.zrange("buraq_tasks:scheduled", 0, -1, withscores=True))

    assert due.keys() == {"0", "1", "2"}
    assert due["1"] == due["2"] == moment.timestamp() * 1000
    assert abs(due["0"] - (datetime.now(UTC).timestamp() + 86400) * 1000) < 60_000
    assert [task["id"] for task in sent(redis)] == ["now", "past"]


def test_without_priorities_all_go_to_the_normal_stream(redis: fakeredis.FakeRedis) -> None:
    Buraq(client=redis, enable_priority=False).enqueue("t", priority="high")

    assert [task["priority"] for task in sent(redis)] == ["high"]


# -- by name, many, handles


def test_enqueue_by_name_takes_the_options_and_the_signature_of_a_known_type(
    app: Buraq, redis: fakeredis.FakeRedis
) -> None:
    @app.task(queue="mail", max_retries=7)
    def send(user_id: int) -> None: ...

    handle = app.enqueue("send", {"user_id": 1})
    with pytest.raises(TypeError, match="send has no argument 'usr'; it has user_id"):
        app.enqueue("send", {"usr": 1})

    assert handle.queue == "mail"
    [task] = sent(redis, "buraq_tasks:mail")
    assert (task["payload"], task["max_retries"]) == ({"user_id": 1}, 7)


def test_enqueue_by_name_takes_any_payload_of_an_unknown_type(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    app.enqueue("elsewhere", {"anything": [1]})
    app.enqueue("elsewhere")

    assert [task["payload"] for task in sent(redis)] == [{"anything": [1]}, {}]


@pytest.mark.parametrize("task_type", ["", None, 7, []])
def test_a_task_type_is_a_text(app: Buraq, task_type: Any) -> None:
    with pytest.raises(ValueError, match="task_type="):
        app.enqueue(task_type)


def test_enqueue_many_checks_all_before_it_sends_any(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    @app.task
    def f(n: float) -> None: ...

    with pytest.raises(TypeError, match="'m'"):
        f.enqueue_many([{"n": 1}, {"m": 2}])
    with pytest.raises(PayloadError, match="n: nan"):
        f.enqueue_many([{"n": 1.0}, {"n": math.nan}])
    with pytest.raises(ValueError, match="one id or idempotency_key"):
        f.options(id="x").enqueue_many([{"n": 1}])

    assert redis.keys() == []
    assert f.enqueue_many([]) == []
    assert f.enqueue_many({"n": n} for n in range(3))[2].created


def test_a_handle_says_what_and_where(app: Buraq) -> None:
    handle = app.enqueue("t", id="a", queue="mail")
    again = app.enqueue("t", id="a", queue="mail")

    assert (handle.id, handle.type, handle.queue, handle.created) == ("a", "t", "mail", True)
    assert (again.id, again.created) == ("a", False)
    assert repr(handle) == "<TaskHandle t a in mail>"
    assert repr(again) == "<TaskHandle t a in mail, known before>"


def test_only_what_was_added_is_counted(app: Buraq) -> None:
    counted: list[tuple[str, int]] = []
    app.on_enqueued = lambda task_type, n: counted.append((task_type, n))

    for _ in range(2):
        app.enqueue("t", id="a")

    assert counted == [("t", 1)]


def test_a_queue_connects_and_reads_its_settings_at_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Buraq()
    monkeypatch.setenv("STREAM_NAME", "later")

    assert app.config.stream_name == "later"
