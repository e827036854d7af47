"""What an enqueue can say of a task, and the binding of its arguments to names."""

import functools
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from buraq.options import Binder, Options

# --- Options


def test_options_that_are_not_given_are_none() -> None:
    options = Options()
    assert all(getattr(options, name) is None for name in options.__slots__)
    assert options.due() == ""


def test_but_changes_some_and_leaves_the_original_as_it_was() -> None:
    first = Options(priority="high", delay=5)
    second = first.but(delay=None, id="t1")
    assert second == Options(priority="high", id="t1")
    assert first == Options(priority="high", delay=5)


@pytest.mark.parametrize(
    ("options", "due"),
    [
        (Options(delay=0), ""),
        (Options(delay=1), "+1000"),
        (Options(delay=0.0001), "+1"),
        (Options(delay=timedelta(minutes=1)), "+60000"),
        (Options(delay=timedelta(days=365)), "+31536000000"),
        (Options(at=0), "0"),
        (Options(at=1_800_000_000), "1800000000000"),
        (Options(at=1_800_000_000.25), "1800000000250"),
        (Options(at=datetime(2027, 1, 15, 8, tzinfo=UTC)), "1800000000000"),
        (Options(at=datetime(2027, 1, 15, 10, tzinfo=timezone(timedelta(hours=2)))), "1800000000000"),
    ],
)
def test_a_delay_counts_from_the_servers_now_and_a_time_is_absolute(options: Options, due: str) -> None:
    options.check()
    assert options.due() == due


WRONG: list[tuple[str, Any]] = [
    ("queue", "a b"),
    ("queue", "index"),
    ("queue", 5),
    ("priority", "urgent"),
    ("priority", "HIGH"),
    ("priority", []),
    ("max_retries", -1),
    ("max_retries", 1.0),
    ("max_retries", True),
    ("max_retries", "3"),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", float("inf")),
    ("timeout", float("nan")),
    ("timeout", "5"),
    ("timeout", timedelta(0)),
    ("delay", -0.1),
    ("delay", timedelta(seconds=-1)),
    ("delay", float("nan")),
    ("delay", float("inf")),
    ("delay", "5"),
    ("delay", True),
    ("at", -1),
    ("at", float("nan")),
    ("at", 1_800_000_000_000),
    ("at", "tomorrow"),
    ("at", datetime(2027, 1, 15)),
    ("id", ""),
    ("id", "x" * 513),
    ("id", 7),
    ("id", b"t1"),
    ("idempotency_key", ""),
    ("idempotency_key", "x" * 513),
    ("idempotency_key", 7),
    ("group", ""),
    ("group", "x" * 513),
    ("group", 7),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_an_option_that_cannot_be_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"{name}[ =]"):
        Options().but(**{name: value})


def test_a_delay_and_a_time_together_are_refused() -> None:
    with pytest.raises(ValueError, match="delay= and at= were both given"):
        Options(delay=1).but(at=5)


def test_an_option_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="dealy"):
        Options().but(dealy=5)


@pytest.mark.parametrize("name", ["id", "idempotency_key", "group"])
@pytest.mark.parametrize("text", ["t", "x" * 512, "order:7/é \U0001f600"])
def test_any_text_of_512_characters_is_an_id_and_a_key(name: str, text: str) -> None:
    assert getattr(Options().but(**{name: text}), name) == text


# --- Binding


def plain(user: int, template: str = "welcome", *, urgent: bool = False) -> None: ...


def keywords(user: int, **more: object) -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "payload"),
    [
        ((1,), {}, {"user": 1}),
        ((1, "reset"), {}, {"user": 1, "template": "reset"}),
        ((1,), {"urgent": True}, {"user": 1, "urgent": True}),
        ((), {"template": "x", "user": 2}, {"template": "x", "user": 2}),
    ],
)
def test_arguments_get_the_names_of_their_parameters(
    args: tuple[Any, ...], kwargs: dict[str, Any], payload: dict[str, Any]
) -> None:
    assert Binder(plain).bind(args, kwargs) == payload


def test_defaults_are_not_written_so_that_the_worker_uses_its_own() -> None:
    assert Binder(plain).bind((1,), {}) == {"user": 1}


@pytest.mark.parametrize(
    ("args", "kwargs", "match"),
    [
        ((), {}, "missing a required argument: 'user'"),
        ((1, "a", True), {}, "too many positional arguments"),
        ((1,), {"user": 2}, "multiple values for argument 'user'"),
        ((1,), {"usre": 2}, "no argument 'usre'"),
    ],
)
def test_a_call_that_would_fail_fails_at_once(args: tuple[Any, ...], kwargs: dict[str, Any], match: str) -> None:
    with pytest.raises(TypeError, match=match):
        Binder(plain).bind(args, kwargs)


def test_further_keywords_are_taken_where_the_function_takes_them() -> None:
    assert Binder(keywords).bind((1,), {"a": 2}) == {"user": 1, "a": 2}
    with pytest.raises(TypeError, match="'user'"):
        Binder(keywords).bind((), {"a": 2})


def test_a_function_without_parameters_takes_none() -> None:
    assert Binder(nothing).bind((), {}) == {}
    with pytest.raises(TypeError, match="too many positional arguments"):
        Binder(nothing).bind((1,), {})


def test_a_payload_by_name_is_checked_like_a_call_and_not_changed() -> None:
    given = {"user": 1}
    assert Binder(plain).check(given) == given
    assert Binder(plain).check(given) is not given
    with pytest.raises(TypeError, match="'user'"):
        Binder(plain).check({})
    with pytest.raises(TypeError, match="'usre'"):
        Binder(plain).check({"user": 1, "usre": 2})


def star(*users: int) -> None: ...


def slash(user: int, /) -> None: ...


async def coroutine(user: int) -> None: ...


async def async_generator(user: int) -> Any:
    yield user


def generator(user: int) -> Any:
    yield user


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (star, r"star: \*users: int has no name in the payload"),
        (slash, r"slash: user: int has no name in the payload"),
        (coroutine, "coroutine is async: .* Write it as def"),
        (async_generator, "async_generator is async"),
        (generator, "generator is a generator: calling it runs nothing"),
        (functools.partial(plain, 1), "a task is a function"),
        ("plain", "a task is a function: 'plain' is none"),
    ],
)
def test_a_function_that_no_slot_could_run_is_refused_with_the_reason(function: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        Binder(function)


def test_a_method_is_bound_without_its_self() -> None:
    class Mailer:
        def send(self, user: int) -> None: ...

    assert Binder(Mailer().send).bind((1,), {}) == {"user": 1}


def test_a_decorated_function_is_bound_by_the_signature_that_it_shows() -> None:
    @functools.wraps(plain)
    def wrapped(*args: Any, **kwargs: Any) -> None: ...

    assert Binder(wrapped).bind((1, "x"), {}) == {"user": 1, "template": "x"}
