"""What everybody relies on: exit codes, one line instead of a traceback, help that names the variables."""

import re
import subprocess
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from buraq.backend import Backend
from buraq.cli.root import buraq
from buraq.cli.session import reached
from buraq.config import SETTINGS, Config
from buraq.errors import ServerUnreachable
from buraq.version import __version__
from tests.cli.conftest import COMMAND, LIMIT, Done, environment
from tests.servers import Server

COMMANDS = [
    ("worker",),
    ("api",),
    ("demo",),
    ("enqueue",),
    ("status",),
    ("workers",),
    ("config",),
    ("bench",),
    ("dlq",),
    ("dlq", "list"),
    ("dlq", "show"),
    ("dlq", "replay"),
    ("dlq", "purge"),
]
READING = [("status",), ("workers",), ("dlq", "list"), ("enqueue", "t")]


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_each_command_has_a_help(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(buraq, [*command, "--help"])

    assert done.exit_code == 0
    assert done.output.startswith("Usage: ")


@pytest.mark.parametrize("command", ["worker", "api", "demo", "enqueue", "status", "dlq", "bench"])
def test_the_help_has_examples(command: str) -> None:
    assert "Examples:" in CliRunner().invoke(buraq, [command, "--help"]).output


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ((), ["REDIS_URL", "BURAQ_APP"]),
        (("worker",), ["WORKER_PROCESSES", "WORKER_COUNT", "CPU_PROCESSES", "LOG_LEVEL", "LOG_FORMAT"]),
        (("api",), ["PORT", "API_PORT", "WEB_CONCURRENCY"]),
    ],
)
def test_the_help_of_an_option_names_its_variable(command: tuple[str, ...], variables: list[str]) -> None:
    help = CliRunner().invoke(buraq, [*command, "--help"]).output

    assert [name for name in variables if name not in help] == []


def test_the_version_is_printed(run: Callable[..., Done]) -> None:
    done = run("--version")

    assert (done.code, done.out) == (0, f"buraq {__version__}\n")


def test_the_console_script_is_the_same_command() -> None:
    script = COMMAND[0].replace("python", "buraq")
    done = subprocess.run([script.rpartition("/")[0] + "/buraq", "--version"], capture_output=True, text=True)

    assert done.stdout == f"buraq {__version__}\n"


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), RedisTimeoutError()], ids=repr)
def test_a_server_that_goes_away_under_way_is_said_as_one_that_is_away(server: Server, error: Exception) -> None:
    with pytest.raises(ServerUnreachable), reached(Backend(Config.from_env({"REDIS_URL": server.url}))):
        raise error


def test_who_stops_reading_what_is_printed_is_no_server_that_is_away(server: Server) -> None:
    with pytest.raises(BrokenPipeError), reached(Backend(Config.from_env({"REDIS_URL": server.url}))):
        raise BrokenPipeError


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_server_that_is_away_is_code_3_and_one_line(run: Callable[..., Done], command: tuple[str, ...]) -> None:
    done = run(*command, url="redis://:secret@127.0.0.1:1/0")

    assert done.code == 3
    assert len(done.err.splitlines()) == 1
    assert "cannot reach Redis at redis://:***@127.0.0.1:1/0" in done.err
    assert "REDIS_URL" in done.err
    assert "secret" not in done.out + done.err


def test_a_wrong_password_is_code_3(fresh_server: Callable[..., Server], run: Callable[..., Done]) -> None:
    server = fresh_server()
    server.client().config_set("requirepass", "right")

    done = run("status", url=server.url.replace("//", "//:wrong@"))

    assert done.code == 3
    assert "wrong" not in done.err.replace("wrong number", "")


def test_the_option_for_the_server_wins_over_the_variable(run: Callable[..., Done], server: Server) -> None:
    done = run("-u", server.url, "status", "--json", url="redis://127.0.0.1:1/0", BURAQ_REDIS_URL="redis://127.0.0.1:2")

    assert done.json()["server"]["url"] == re.sub(r":[^:]+@", ":***@", server.url)


@pytest.mark.parametrize("command", [*READING, ("worker",), ("api",), ("demo",), ("config",)], ids=" ".join)
def test_a_wrong_setting_is_code_2_and_named(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(buraq, command, env={"MAX_RETRIES": "many"})

    assert done.exit_code == 2
    assert "Error: MAX_RETRIES='many' cannot be used: it takes a whole number" in done.output


@pytest.mark.parametrize("command", ["status", "api"])
@pytest.mark.parametrize(
    ("scheme", "option", "named"),
    [
        ("redis", "timeout=5", "'timeout'"),
        ("redis", "socket_timeout=soon", "'socket_timeout'"),
        ("rediss", "ssl_cert_reqs=CERT_NONE", "Invalid SSL Certificate Requirements Flag: CERT_NONE"),
    ],
)
def test_an_option_in_the_url_that_redis_py_does_not_know_is_code_2_and_named(
    run: Callable[..., Done], command: str, scheme: str, option: str, named: str
) -> None:
    done = run(command, url=f"{scheme}://:secret@127.0.0.1:1/0?{option}")

    assert done.code == 2
    assert f"REDIS_URL='{scheme}://:***@127.0.0.1:1/0?{option}' cannot be used" in done.err
    assert named in done.err.partition("cannot be used")[2]


@pytest.mark.parametrize("command", [("worker", "nowhere"), ("api",), ("demo",)], ids=" ".join)
def test_a_number_of_processes_that_gunicorn_cannot_read_is_code_2_and_named(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(buraq, command, env={"WEB_CONCURRENCY": "two"})

    assert done.exit_code == 2
    assert "Error: WEB_CONCURRENCY='two' cannot be used: it takes a whole number" in done.output


@pytest.mark.parametrize("command", [("config",), ("api", "--help"), ("worker", "--help")], ids=" ".join)
def test_a_number_of_processes_concerns_only_commands_that_have_some(command: tuple[str, ...]) -> None:
    assert CliRunner().invoke(buraq, command, env={"WEB_CONCURRENCY": "two"}).exit_code == 0


@pytest.mark.parametrize("command", ["worker", "api"])
def test_a_number_of_processes_set_to_nothing_is_not_set(run: Callable[..., Done], command: str) -> None:
    done = run(command, "nowhere", WEB_CONCURRENCY="")

    assert done.code == 2
    assert "target 'nowhere': there is no module 'nowhere'" in done.err


@pytest.mark.parametrize("command", [*READING, ("config",)], ids=" ".join)
def test_a_wrong_target_is_code_2(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(buraq, ["--app", "nowhere:queue", *command])

    assert done.exit_code == 2
    assert "Error: target 'nowhere:queue': there is no module 'nowhere'" in done.output


def test_a_temporary_embedded_server_is_refused_where_it_would_be_empty(run: Callable[..., Done]) -> None:
    done = run("status", url="embedded://")

    assert done.code == 2
    assert "REDIS_URL='embedded://' cannot be used" in done.err


def test_a_kept_embedded_server_is_started_and_left_as_it_was(run: Callable[..., Done], tmp_path: object) -> None:
    url = f"embedded://{tmp_path}/kept"

    first = run("enqueue", "t", "--id", "t1", url=url)
    waiting = run("status", "--json", url=url).json()["queues"][0]["waiting"]

    assert (first.out, waiting) == ("t1\n", 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("statu",), "Did you mean 'status'?"),
        (("worker", "t:q", "--concurrency", "0"), "it takes a whole number of at least 1"),
        (("worker", "t:q", "--queues", "a,leases"), "collides with a key"),
        (("worker", "t:q", "--burst", "--reload"), "use one of them"),
        (("worker", "t:q", "--reload-dir", "."), "add --reload"),
        (("api", "--bind", ":80", "--port", "81"), "leave --host and --port out"),
        (("api", "--port", "70000"), "0<=x<=65535"),
        (("-u", "localhost:6379", "status"), "REDIS_ADDR"),
        (("dlq", "replay"), "say which"),
        (("dlq", "purge", "x", "--all"), "use one of them"),
        (("dlq", "replay", "x", "--type", "mail"), "narrow --all"),
        (("enqueue", "t", "--delay", "1s", "--at", "2030-01-01T00:00:00Z"), "one time only"),
        (("demo", "--seconds", "soon"), "it takes a duration"),
    ],
)
def test_a_wrong_argument_is_code_2_and_says_what_is_right(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(buraq, [*arguments])

    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())


def test_a_worker_without_a_target_says_the_three_ways(run: Callable[..., Done]) -> None:
    done = run("worker")

    assert done.code == 2
    assert [way for way in ("worker module:queue", "BURAQ_APP=", "ENABLE_MOCK_TASKS=true") if way not in done.err] == []


def test_what_the_server_refuses_is_code_1(run: Callable[..., Done], redis: Redis) -> None:
    redis.set("buraq_tasks", "no stream")

    done = run("enqueue", "t")

    assert done.code == 1
    assert "was refused" in done.err


def test_settings_are_listed_without_their_secrets(run: Callable[..., Done]) -> None:
    done = run("config", url="redis://:pass@localhost/0", API_KEY="secret", MAX_RETRIES="7")
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()[1:]}

    assert set(rows) == {next(iter(setting.variables)) for setting in SETTINGS}
    assert rows["MAX_RETRIES"] == ["7", "set"]
    assert rows["STREAM_NAME"] == ["buraq_tasks", "default"]
    assert rows["API_KEY"] == ["***", "set"]
    assert "pass@" not in done.out


def test_settings_come_as_json_too(run: Callable[..., Done]) -> None:
    shown = run("config", "--json", API_KEY="secret", LEASE_TTL="20s").json()

    assert (shown["lease_ttl"], shown["api_key"]) == (20.0, "***")


def test_nothing_is_coloured_where_nobody_looks(run: Callable[..., Done], bury: Callable[..., str]) -> None:
    bury("t1")

    assert "\x1b" not in run("dlq", "list").out + run("status").out


def test_a_reader_that_goes_away_is_no_fault_of_the_server(server: Server, redis: Redis) -> None:
    command = f"{' '.join(COMMAND)} config | true"
    done = subprocess.run(
        command, shell=True, env=environment(server.url, {}), capture_output=True, text=True, timeout=LIMIT
    )

    assert "Redis" not in done.stderr
