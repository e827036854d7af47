"""A target is found as people write it, and a wrong one is told what is there instead."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buraq.errors import ConfigError
from buraq.target import TargetError, load

SHOP = """
from buraq import Buraq

queue = Buraq()
also = queue
number = 3

class Shop:
    line = Buraq()

@queue.task
def send_mail(user_id: int) -> None: ...

def make() -> Buraq:
    return queue

def needs(name): ...

def wrong():
    return 3
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a module into the current folder, which no other test sees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(name: str, source: str) -> None:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("target", ["shop_a", "shop_a:queue", "shop_a:also", "shop_a:make", "shop_a:make()"])
def test_a_queue_is_found_by_module_name_and_factory(shop: Callable[[str, str], None], target: str) -> None:
    shop("shop_a", SHOP.replace("line = Buraq()", "pass"))

    assert set(load(target).registry) == {"send_mail"}


def test_a_queue_is_found_inside_of_something(shop: Callable[[str, str], None]) -> None:
    shop("shop_b", SHOP)

    assert load("shop_b:Shop.line") is sys.modules["shop_b"].Shop.line


def test_among_several_queues_the_one_named_queue_is_meant(shop: Callable[[str, str], None]) -> None:
    shop("shop_c", "from buraq import Buraq\nother = Buraq()\nqueue = Buraq()\n")

    assert load("shop_c") is sys.modules["shop_c"].queue


@pytest.mark.parametrize("target", ["web_a", "web_a:app", "web_a:create_app", "web_a:create_app()"])
def test_a_flask_app_gives_the_queue_that_joined_it(shop: Callable[[str, str], None], target: str) -> None:
    shop(
        "web_a",
        """
        import flask
        import buraq

        def create_app():
            app = flask.Flask("web")
            buraq.Buraq(stream_name="web_tasks").init_app(app)
            return app

        app = create_app()
        """,
    )

    assert load(target).config.stream_name == "web_tasks"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "it takes a module"),
        ("shop_d.py", "did you mean 'shop_d'?"),
        ("./pack/shop_d.py:queue", "did you mean 'pack.shop_d:queue'?"),
        ("shop_dd", "there is no module 'shop_dd'"),
        ("shop_dd", "did you mean 'shop_d'?"),
        ("shop_d:quue", "module shop_d has no 'quue'; did you mean 'queue'?"),
        ("shop_d:xyzzy", "It has Buraq, Shop, also, make"),
        ("shop_d:Shop.lime", "did you mean 'line'?"),
        ("shop_d:number", "it is a value of type int, and not a Buraq"),
        ("shop_d:Shop", "it is the class Shop"),
        ("shop_d:send_mail", "it is a task function"),
        ("shop_d:needs", "missing 1 required positional argument: 'name'"),
        ("shop_d:wrong", "it returned a value of type int"),
        ("empty_d", "module empty_d has no queue"),
        ("factory_d", "did you mean 'factory_d:create_app'?"),
        ("two_d", "has several queues, name one: two_d:a or two_d:b"),
        ("bare_d:app", "the Flask app 'bare' has no queue: call queue.init_app(app)"),
        ("broken_d", "ZeroDivisionError: division by zero"),
        ("broken_d", 'broken_d.py", line 2, in <module>'),
        ("needy_d", "No module named 'not_installed_anywhere'"),
        ("leaving_d", "SystemExit: 3"),
        ("quitting_d:make", "SystemExit: DATABASE_URL is not set"),
    ],
)
def test_a_wrong_target_is_told_what_is_there(shop: Callable[[str, str], None], target: str, said: str) -> None:
    shop("shop_d", SHOP)
    shop("empty_d", "x = 1\n")
    shop("factory_d", "def create_app(): ...\n")
    shop("two_d", "from buraq import Buraq\na = Buraq()\nb = Buraq()\n")
    shop("bare_d", "import flask\napp = flask.Flask('bare')\n")
    shop("broken_d", "# fails\n1 / 0\n")
    shop("needy_d", "import not_installed_anywhere\n")
    shop("leaving_d", "import sys\nsys.exit(3)\n")
    shop("quitting_d", "def make(): raise SystemExit('DATABASE_URL is not set')\n")

    with pytest.raises(TargetError) as caught:
        load(target)

    assert said in str(caught.value)
    assert "importlib" not in str(caught.value)


def test_a_wrong_setting_met_by_the_module_is_told_as_such(
    shop: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RETRIES", "many")
    shop("set_d", "from buraq import Buraq\nqueue = Buraq()\nqueue.config\n")

    with pytest.raises(ConfigError, match="MAX_RETRIES='many'"):
        load("set_d")
