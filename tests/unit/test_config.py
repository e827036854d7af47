"""Settings: where they come from, what they accept, and that they keep secrets."""

import dataclasses
import json
import pickle
import re
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from buraq import errors
from buraq.config import SETTINGS, Address, Config, Durability, mask_url, settings_table
from buraq.errors import ConfigError


def read(field: str, **env: str) -> object:
    return getattr(Config.from_env(env), field)


# --- Where a value comes from


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    config = Config.from_env({})
    assert dataclasses.asdict(config) == {
        "redis_url": "redis://localhost:6379/0",
        "redis_cluster": False,
        "redis_addrs": ("localhost:6379",),
        "redis_sentinels": (),
        "redis_sentinel_master": None,
        "redis_sentinel_password": "",
        "redis_ssl_cert_reqs": "required",
        "durability": {"kind": "memory", "replicas": 0},
        "stream_name": "buraq_tasks",
        "group_name": "buraq_workers",
        "dlq_stream_name": "buraq_tasks_dlq",
        "consumer_name": socket.gethostname(),
        "events_channel": "buraq_events",
        "stream_shards": 16,
        "app": None,
        "worker_count": 1000,
        "cpu_processes": 1,
        "worker_processes": 1,
        "fetch_batch_size": 250,
        "block_timeout": 2.0,
        "lease_ttl": 10.0,
        "max_blocked": 60.0,
        "max_tasks": 0,
        "max_memory_mb": 0,
        "shutdown_timeout": 25.0,
        "enable_priority": True,
        "max_retries": 3,
        "retry_backoff": 1.0,
        "retry_backoff_max": 600.0,
        "task_timeout": None,
        "timeout_grace": 10.0,
        "enqueue_timeout": 1.0,
        "max_payload_bytes": 1024 * 1024,
        "result_ttl": 3600.0,
        "dlq_max_age": None,
        "dlq_max_length": None,
        "enable_mock_tasks": False,
        "history_length": 10_000,
        "mock_task_interval": 2.0,
        "api_port": {"host": "0.0.0.0", "port": 8080},
        "metrics_port": {"host": "0.0.0.0", "port": 2112},
        "api_key": "",
        "read_key": "",
        "read_only": False,
        "cors_origins": ("http://localhost:3000",),
        "redact_keys": (
            *("password", "passwd", "secret", "token", "apikey", "accesskey", "privatekey"),
            *("credential", "authorization", "cookie", "cardnumber", "cvv", "cvc"),
        ),
        "trusted_proxies": 0,
        "log_format": None,
        "log_level": "info",
        "explicit": frozenset(),
    }
    assert config == Config()


def test_every_field_can_be_set_by_the_variable_of_its_name() -> None:
    for setting in SETTINGS:
        upper = setting.field.upper()
        assert {upper, f"BURAQ_{upper}"} & set(setting.variables), setting.field


def test_the_prefixed_variable_wins_over_the_bare_one() -> None:
    assert read("stream_name", STREAM_NAME="bare") == "bare"
    assert read("stream_name", STREAM_NAME="bare", BURAQ_STREAM_NAME="ours") == "ours"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    config = Config.from_env({"WORKER_COUNT": "7", "BURAQ_WORKER_COUNT": empty, "API_KEY": empty})
    assert (config.worker_count, config.api_key) == (7, "")
    assert config.explicit == {"worker_count"}


def test_spaces_around_a_value_do_not_count() -> None:
    assert read("worker_count", WORKER_COUNT=" 7 ") == 7
    assert read("api_key", API_KEY="secret\n") == "secret"


def test_an_override_wins_over_the_environment() -> None:
    env = {"BURAQ_WORKER_COUNT": "7", "TASK_TIMEOUT": "9", "API_KEY": "theirs"}
    config = Config.from_env(env, worker_count=8, task_timeout=None, api_key="", max_retries="2")
    assert (config.worker_count, config.task_timeout) == (8, None)
    assert (config.api_key, config.max_retries) == ("", 2)


def test_none_as_an_override_says_nothing_where_none_is_no_value() -> None:
    config = Config.from_env({"STREAM_NAME": "mail"}, stream_name=None, redis_url=None)
    assert (config.stream_name, config.redis_url) == ("mail", "redis://localhost:6379/0")
    env = {"REDIS_SENTINELS": "a:1", "REDIS_SENTINEL_MASTER": "m"}
    config = Config.from_env(env, redis_sentinels=None, redis_sentinel_master=None)
    assert (config.redis_sentinels, config.redis_sentinel_master) == ((), None)


def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURAQ_STREAM_NAME", "from_the_process")
    assert Config.from_env().stream_name == "from_the_process"


def test_a_mapping_gives_typed_values_by_their_prefixed_names_only() -> None:
    config = Config.from_mapping(
        {
            "API_KEY": "the app's own",
            "PORT": 1,
            "BURAQ_WORKER_COUNT": 5,
            "BURAQ_READ_ONLY": True,
            "BURAQ_LEASE_TTL": timedelta(seconds=20),
            "BURAQ_BLOCK_TIMEOUT": 0.5,
            "BURAQ_CORS_ORIGINS": ["https://a.example", "https://b.example"],
            "BURAQ_API_PORT": 9000,
            "BURAQ_DURABILITY": Durability("aof"),
            "BURAQ_METRICS_PORT": Address("127.0.0.1", 1),
            "BURAQ_GROUP_NAME": 7,
            "BURAQ_STREAM_NAME": None,
            "BURAQ_TASK_TIMEOUT": None,
        },
        max_retries=9,
    )
    assert (config.api_key, config.worker_count, config.read_only) == ("", 5, True)
    assert (config.lease_ttl, config.block_timeout) == (20.0, 0.5)
    assert config.cors_origins == ("https://a.example", "https://b.example")
    assert (config.api_port, config.metrics_port) == (
        Address("0.0.0.0", 9000),
        Address("127.0.0.1", 1),
    )
    assert config.durability == Durability("aof")
    assert (config.group_name, config.stream_name) == ("7", "buraq_tasks")
    assert (config.task_timeout, config.max_retries) == (None, 9)


def test_what_a_mapping_does_not_say_comes_from_the_environment_given_with_it() -> None:
    mapping = {"BURAQ_WORKER_COUNT": 5}
    env = {"REDIS_URL": "redis://elsewhere:1", "BURAQ_WORKER_COUNT": "6", "DYNO": "web.1"}
    config = Config.from_mapping(mapping, env)
    assert (config.redis_url, config.worker_count) == ("redis://elsewhere:1", 5)
    assert config.consumer_name == "web.1"
    assert Config.from_mapping(mapping).redis_url == "redis://localhost:6379/0"


def test_explicit_names_what_was_set_however_it_was_set() -> None:
    config = Config.from_env({"PORT": "80", "REDIS_ADDR": "r:1"}, metrics_port=":2112")
    assert config.explicit == {"api_port", "redis_url", "metrics_port"}
    assert Config.from_mapping({"BURAQ_API_PORT": 80}).explicit == {"api_port"}


def test_an_unknown_override_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"no setting worker_cout; did you mean worker_count\?"):
        Config.from_env({}, worker_cout=1)
    with pytest.raises(TypeError, match=r"did you mean redis_url\?"):
        Config.from_env({}, redis_addr="x:1")
    with pytest.raises(TypeError, match=r"no setting qqqqqqqq$"):
        Config.from_mapping({}, qqqqqqqq=1)


# --- Redis


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"REDIS_ADDR": "r:7000"}, "redis://r:7000/0"),
        ({"REDIS_ADDR": "r"}, "redis://r:6379/0"),
        ({"REDIS_ADDR": ":7000"}, "redis://localhost:7000/0"),
        ({"REDIS_ADDR": "[::1]:7000"}, "redis://[::1]:7000/0"),
        ({"REDIS_ADDR": "r:7000", "REDIS_URL": "redis://u"}, "redis://u"),
        ({"REDIS_URL": "redis://u", "BURAQ_REDIS_ADDR": "ours:1"}, "redis://ours:1/0"),
        ({"REDIS_URL": "REDISS://:pw@Host:6380/3?x=1"}, "rediss://:pw@Host:6380/3?x=1"),
        ({"REDIS_URL": "redis://:p%40%2F@[::1]:1/"}, "redis://:p%40%2F@[::1]:1/"),
        ({"REDIS_URL": "unix:///run/r.sock?db=1"}, "unix:///run/r.sock?db=1"),
        ({"REDIS_URL": "unix://u:p@/run/r.sock"}, "unix://u:p@/run/r.sock"),
        ({"REDIS_URL": "embedded://"}, "embedded://"),
        ({"REDIS_URL": "embedded:///var/buraq"}, "embedded:///var/buraq"),
    ],
)
def test_the_effective_url(env: dict[str, str], url: str) -> None:
    assert Config.from_env(env).redis_url == url


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("localhost:6379", "REDIS_ADDR"),
        ("http://localhost", "starts with redis://"),
        ("redis:/localhost", "starts with redis://"),
        ("redis://", "no host"),
        ("redis://:6379/0", "no host"),
        ("redis://host:99999", "as %XX"),
        ("redis://host:port", "as %XX"),
        ("redis://:a/b@host", "as %XX"),
        ("redis://:a#b@host", "as %XX"),
        ("redis://:a b@host", "as %XX"),
        ("redis://[::1", "as %XX"),
        ("redis://host/zero", "database number"),
        ("unix://run/r.sock", "absolute path"),
        ("unix://", "absolute path"),
        ("embedded://var", "absolute/path"),
        ("embedded:///", "absolute/path"),
        ("redis://host\x00", "control characters"),
    ],
)
def test_a_url_that_would_lead_elsewhere_is_refused(url: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({"REDIS_URL": url})
    assert caught.value.variable == "REDIS_URL"
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("wrong", ["a:b", "redis://a", "6379", "a:1/0", "[x]:1", "a:70000", ":", "a b"])
def test_a_wrong_address_of_a_server_is_refused_in_each_list(wrong: str) -> None:
    for variable in ("REDIS_ADDR", "REDIS_ADDRS", "BURAQ_REDIS_SENTINELS"):
        with pytest.raises(ConfigError, match=variable):
            Config.from_env({variable: wrong})


def test_cluster_nodes_and_sentinels_are_lists_with_their_usual_ports() -> None:
    config = Config.from_env({"REDIS_CLUSTER": "true", "REDIS_URL": "redis://a", "REDIS_ADDRS": "a:7000, b ,"})
    assert (config.redis_cluster, config.redis_addrs) == (True, ("a:7000", "b:6379"))
    config = Config.from_env({"REDIS_SENTINELS": "s1,s2:1", "REDIS_SENTINEL_MASTER": "main"})
    assert config.redis_sentinels == ("s1:26379", "s2:1")
    assert config.redis_sentinel_master == "main"


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({"REDIS_SENTINELS": "s1"}, "REDIS_SENTINEL_MASTER"),
        ({"REDIS_SENTINEL_MASTER": "main"}, "REDIS_SENTINELS"),
    ],
)
def test_sentinels_and_their_master_are_set_together(env: dict[str, str], missing: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env(env)
    assert caught.value.variable == missing


@pytest.mark.parametrize(
    ("env", "wrong"),
    [
        ({"REDIS_URL": "unix:///run/redis.sock"}, "REDIS_URL"),
        ({"REDIS_URL": "embedded:///var/lib/queue"}, "REDIS_URL"),
        ({"REDIS_CLUSTER": "true"}, "REDIS_CLUSTER"),
    ],
)
def test_what_sentinels_cannot_watch_is_refused(env: dict[str, str], wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({"REDIS_SENTINELS": "s1", "REDIS_SENTINEL_MASTER": "main", **env})
    assert caught.value.variable == wrong


def test_with_sentinels_it_is_they_who_are_shown() -> None:
    config = Config.from_env({"REDIS_SENTINELS": "s1,s2", "REDIS_SENTINEL_MASTER": "main", "REDIS_URL": "redis://:x@a"})
    assert config.masked_url == "main of the sentinels s1:26379,s2:26379"


# --- Names


def test_the_dead_letter_stream_follows_the_stream() -> None:
    assert read("dlq_stream_name", STREAM_NAME="mail") == "mail_dlq"
    assert read("dlq_stream_name", STREAM_NAME="mail", DLQ_STREAM_NAME="dead") == "dead"
    assert Config(stream_name="mail").dlq_stream_name == "mail_dlq"


@pytest.mark.parametrize("dead", ["mail", "mail_high", "mail_low", "mail_front", "mail_suspects"])
def test_dead_letters_do_not_go_where_workers_read(dead: str) -> None:
    with pytest.raises(ConfigError, match=r"BURAQ_DLQ_STREAM_NAME='mail.*for ever"):
        Config.from_env({"STREAM_NAME": "mail", "BURAQ_DLQ_STREAM_NAME": dead})


def test_a_worker_process_is_named_by_hand_else_by_dyno_else_by_host() -> None:
    assert read("consumer_name", DYNO="worker.1", CONSUMER_NAME="mine") == "mine"
    assert read("consumer_name", DYNO="worker.1") == "worker.1"
    assert read("consumer_name") == socket.gethostname()


def test_the_app_is_read_from_its_prefixed_name_alone() -> None:
    assert read("app", APP="theirs") is None
    assert read("app", APP="theirs", BURAQ_APP="shop:queue") == "shop:queue"
    assert Config.from_env({}, app="shop:queue").app == "shop:queue"


# --- Kinds of values


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("12h", 43200.0),
        ("7d", 604800.0),
        ("1d1h1m1s1ms", 90061.001),
        ("90", 90.0),
        ("0.25", 0.25),
        (3, 3.0),
        (0.25, 0.25),
        (timedelta(minutes=1), 60.0),
    ],
)
def test_a_duration_is_seconds_however_it_is_written(written: object, seconds: float) -> None:
    assert Config.from_env({}, retry_backoff=written).retry_backoff == pytest.approx(seconds)
    assert isinstance(Config.from_env({}, retry_backoff=written).retry_backoff, float)


@pytest.mark.parametrize(
    "wrong",
    [
        "-1s",
        "-1",
        "1 s",
        "s",
        "1x",
        "30s1m",
        "1e3",
        "inf",
        "nan",
        ".",
        "1m30",
        "٣s",
        -1,
        float("inf"),
        float("nan"),
        True,
        timedelta(seconds=-1),
        [1],
    ],
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"^retry_backoff=.*1m30s"):
        Config.from_env({}, retry_backoff=wrong)


@pytest.mark.parametrize(
    ("variable", "too_little"),
    [
        ("LEASE_TTL", "999ms"),
        ("BLOCK_TIMEOUT", "0"),
        ("ENQUEUE_TIMEOUT", "0"),
        ("MOCK_TASK_INTERVAL", "0s"),
        ("TASK_TIMEOUT", "0"),
        ("MAX_BLOCKED", "0"),
        ("RESULT_TTL", "0"),
        ("MAX_TASKS", "-1"),
        ("MAX_MEMORY_MB", "1GB"),
        ("DLQ_MAX_AGE", "0"),
        ("DLQ_MAX_LENGTH", "0"),
        ("WORKER_COUNT", "0"),
        ("WORKER_PROCESSES", "0"),
        ("FETCH_BATCH_SIZE", "0"),
        ("STREAM_SHARDS", "0"),
        ("MAX_RETRIES", "-1"),
        ("TRUSTED_PROXIES", "-1"),
        ("MAX_PAYLOAD_BYTES", "0"),
    ],
)
def test_less_than_the_least_is_refused(variable: str, too_little: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}='{too_little}'"):
        Config.from_env({variable: too_little})


def test_the_least_itself_is_accepted() -> None:
    config = Config.from_env({"LEASE_TTL": "1s", "SHUTDOWN_TIMEOUT": "0", "MAX_RETRIES": "0"})
    assert (config.lease_ttl, config.shutdown_timeout, config.max_retries) == (1.0, 0.0, 0)


@pytest.mark.parametrize("wrong", ["many", "1.5", "1_000", "+1", "1" * 5000, 1.5, True, None, [1]])
def test_what_is_no_whole_number_is_refused(wrong: object) -> None:
    if wrong is None:
        assert Config.from_env({}, worker_count=None).worker_count == 1000
        return
    with pytest.raises(ConfigError, match=r"a whole number of at least 1$"):
        Config.from_env({}, worker_count=wrong)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("yes", True),
        ("on", True),
        (1, True),
        ("false", False),
        ("False", False),
        ("0", False),
        ("no", False),
        ("off", False),
        (0, False),
    ],
)
def test_a_flag_is_read_as_people_write_it(written: object, value: bool) -> None:
    assert Config.from_env({}, read_only=written).read_only is value


@pytest.mark.parametrize("wrong", ["maybe", "2", 2, "t"])
def test_what_is_no_flag_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match="it takes true or false"):
        Config.from_env({}, read_only=wrong)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("2048", 2048),
        ("512KB", 512000),
        ("512kib", 524288),
        ("1MiB", 1048576),
        ("2 MB", 2000000),
        ("1GiB", 1024**3),
        ("10b", 10),
        (99, 99),
    ],
)
def test_a_size_is_bytes_however_it_is_written(written: object, number: int) -> None:
    assert Config.from_env({}, max_payload_bytes=written).max_payload_bytes == number


@pytest.mark.parametrize("wrong", ["1TBX", "-1", "1.5MiB", "big", 1.5, True, -1])
def test_what_is_no_size_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match="1MiB"):
        Config.from_env({}, max_payload_bytes=wrong)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (":8080", "0.0.0.0:8080"),
        ("8080", "0.0.0.0:8080"),
        (8080, "0.0.0.0:8080"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("localhost:0", "localhost:0"),
        ("[::1]:80", "[::1]:80"),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(written: object, shown: str) -> None:
    address = Config.from_env({}, metrics_port=written).metrics_port
    assert str(address) == shown
    assert Config.from_env({}, metrics_port=str(address)).metrics_port == address


@pytest.mark.parametrize("wrong", ["host", "host:", ":", "::1:80", ":65536", "99999", "a b:1", True, -1])
def test_what_is_no_address_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match="port or host:port"):
        Config.from_env({}, metrics_port=wrong)


def test_the_platforms_port_wins_over_api_port_but_not_over_ours() -> None:
    env = {"API_PORT": ":1"}
    assert Config.from_env(env).api_port.port == 1
    env["PORT"] = "2"
    assert Config.from_env(env).api_port.port == 2
    env["BURAQ_API_PORT"] = ":3"
    assert Config.from_env(env).api_port.port == 3
    assert Config.from_env(env, api_port=4).api_port.port == 4


def test_origins_are_kept_as_browsers_send_them() -> None:
    written = "http://localhost:3000, HTTPS://App.Example:443,http://[::1]:5,http://a:80"
    assert read("cors_origins", CORS_ORIGINS=written) == (
        "http://localhost:3000",
        "https://app.example",
        "http://[::1]:5",
        "http://a",
    )
    assert read("cors_origins", CORS_ORIGINS="none") == ()
    assert Config.from_env({}, cors_origins=[]).cors_origins == ()


@pytest.mark.parametrize(
    "wrong",
    ["http://a/", "http://a/path", "a.example", "http://", "null", "http://u@a", "http://a:x"],
)
def test_what_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"^CORS_ORIGINS=.*without a path"):
        Config.from_env({"CORS_ORIGINS": f"http://fine.example,{wrong}"})


def test_a_wildcard_origin_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="any web page"):
        Config.from_env({"CORS_ORIGINS": "*"})


def test_durability_names_what_an_enqueue_waits_for() -> None:
    for written, value in {
        "memory": Durability("memory"),
        "AOF": Durability("aof"),
        "replica:2": Durability("replica", 2),
    }.items():
        durability = Config.from_env({"DURABILITY": written}).durability
        assert durability == value
        assert str(durability) == written.lower()


@pytest.mark.parametrize("wrong", ["replica", "replica:0", "replica:x", "disk", "memory:1"])
def test_an_unknown_durability_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="replica:N"):
        Config.from_env({"DURABILITY": wrong})


def test_choices_do_not_mind_their_case() -> None:
    config = Config.from_env({"LOG_LEVEL": "WARN", "LOG_FORMAT": "JSON", "REDIS_SSL_CERT_REQS": "None"})
    assert (config.log_level, config.log_format) == ("warning", "json")
    assert config.redis_ssl_cert_reqs == "none"
    with pytest.raises(ConfigError, match="it takes one of text, json"):
        Config.from_env({"LOG_FORMAT": "xml"})


def test_none_can_be_written_for_no_limit() -> None:
    config = Config.from_env({"TASK_TIMEOUT": "none", "DLQ_MAX_AGE": "7d", "DLQ_MAX_LENGTH": "None"})
    assert (config.task_timeout, config.dlq_max_age, config.dlq_max_length) == (
        None,
        604800.0,
        None,
    )


@pytest.mark.parametrize("wrong", ["two words", "line\nbreak", "bell\x07"])
def test_a_name_is_one_word(wrong: str) -> None:
    with pytest.raises(ConfigError):
        Config.from_env({"STREAM_NAME": wrong})


# --- Errors and secrets


def test_an_error_names_the_variable_as_it_was_written() -> None:
    for variable, make in {
        "WORKER_COUNT": lambda: Config.from_env({"WORKER_COUNT": "x"}),
        "BURAQ_WORKER_COUNT": lambda: Config.from_mapping({"BURAQ_WORKER_COUNT": "x"}),
        "worker_count": lambda: Config.from_env({}, worker_count="x"),
        "PORT": lambda: Config.from_env({"PORT": "x"}),
        "REDIS_ADDR": lambda: Config.from_env({"REDIS_ADDR": "x:x"}),
    }.items():
        with pytest.raises(ConfigError) as caught:
            make()
        assert caught.value.variable == variable
        assert str(caught.value).startswith(f"{variable}='{caught.value.value}' cannot be used: ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"REDIS_URL": "redis://user:hunter2@host/x"},
        {"REDIS_URL": "user:hunter2@host"},
        {"REDIS_URL": "redis://:a#hunter2@host"},
        {"REDIS_URL": "redis://host/x?password=hunter2"},
        {"REDIS_ADDR": "user:hunter2@host:1"},
        {"REDIS_ADDRS": "a:1,user:hunter2@host:1"},
        {"API_KEY": "hunter2\x00"},
        {"READ_KEY": "hunter2\x00"},
    ],
)
def test_an_error_shows_no_secret(wrong: dict[str, str]) -> None:
    for make in (
        lambda: Config.from_env(wrong),
        lambda: Config.from_mapping({f"BURAQ_{key}": [value] for key, value in wrong.items()}),
    ):
        with pytest.raises(ConfigError) as caught:
            make()
        assert "hunter2" not in str(caught.value) + repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_no_display_of_a_config_shows_a_secret() -> None:
    env = {
        "REDIS_URL": "rediss://user:hunter2@host:1/0",
        "API_KEY": "hunter2",
        "READ_KEY": "hunter2",
    }
    config = Config.from_env(env)
    assert (config.api_key, config.read_key) == ("hunter2", "hunter2")
    shown = config.masked()
    for display in (repr(config), str(config), json.dumps(shown)):
        assert "hunter2" not in display
    assert config.masked_url == shown["redis_url"] == "rediss://user:***@host:1/0"
    assert (shown["api_key"], shown["read_key"]) == ("***", "***")
    assert shown["api_port"] == "0.0.0.0:8080"
    assert shown["cors_origins"] == ["http://localhost:3000"]
    assert "api_port='0.0.0.0:8080'" in repr(config)
    assert Config.from_env({}).masked()["api_key"] == ""


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://host:1/0", "redis://host:1/0"),
        ("redis://:pw@host", "redis://:***@host"),
        ("redis://user:pw@host/0?a=b", "redis://user:***@host/0?a=b"),
        ("redis://token@host", "redis://***@host"),
        ("redis://user:p@w@host", "redis://user:***@host"),
        ("redis://user:p/w@host", "redis://user:***@host"),
        ("redis://user:p#w?@host", "redis://user:***@host"),
        ("redis://user:a://b@host", "redis://user:***@host"),
        ("redis://host?password=p@w&db=1", "redis://host?password=***&db=1"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ("unix://u:pw@/run/r.sock?Password=pw", "unix://u:***@/run/r.sock?Password=***"),
        ("user:pw@host:1", "user:***@host:1"),
        ("", ""),
    ],
)
def test_masking_hides_the_password_of_broken_urls_too(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_a_config_cannot_be_changed_and_can_be_compared() -> None:
    config = Config.from_env({"WORKER_COUNT": "1000"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.worker_count = 1  # type: ignore[misc]
    assert config == Config.from_env({})
    assert hash(config) == hash(Config.from_env({}))


# --- The table of the docs


def test_the_table_lists_every_variable_with_its_default() -> None:
    lines = settings_table().splitlines()
    assert len(lines) == len(SETTINGS) + 2 == len(dataclasses.fields(Config)) - 1 + 2
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in lines)
    assert any(line.startswith("| `BLOCK_TIMEOUT` | `2s` | ") for line in lines)
    assert any(line.startswith("| `PORT`, `API_PORT` | `:8080` | ") for line in lines)
    assert any("| `STREAM_NAME` + `_dlq` |" in line for line in lines)
    assert all(setting.help.endswith(".") for setting in SETTINGS)


def test_the_module_prints_the_table() -> None:
    command = [sys.executable, "-W", "error", "-m", "buraq.config"]
    root = Path(errors.__file__).parents[1]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert printed.stdout == settings_table()


# --- The errors' own facts


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError("A", "b", "it takes c"),
        errors.TaskNotRegistered("emial", ["mail", "email"]),
        errors.DuplicateTaskType("a", "x.a", "y.a"),
        errors.PayloadError("order.lines[3]", "not JSON"),
        errors.PayloadTooLarge(2000, 1000),
        errors.EnqueueError("task-1", "its key is taken"),
        errors.QueueUnavailable(["a", "b"], 1.0),
        errors.ServerUnreachable("redis://host", "refused"),
        errors.TimedOut(3),
        errors.Retry(after=timedelta(minutes=1), reason="rate limit"),
        errors.Reject("no such user"),
        errors.Snooze(5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_to_another_process(error: errors.BuraqError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error) != ""
    assert vars(again) == vars(error) != {}


def test_errors_say_what_to_do() -> None:
    missing = errors.TaskNotRegistered("emial", ["mail", "email"])
    assert missing.close_match == "email"
    assert "did you mean 'email'? It knows email, mail; is the module" in str(missing)
    assert "in this process. It knows none" in str(errors.TaskNotRegistered("a"))
    late = errors.QueueUnavailable([str(n) for n in range(10)], 1.0)
    assert "10 tasks: 0, 1, 2 and 7 more" in str(late)
    assert "within 1s (ENQUEUE_TIMEOUT); task a may" in str(errors.QueueUnavailable(["a"], 1.0))
    assert "MAX_PAYLOAD_BYTES=1000" in str(errors.PayloadTooLarge(2000, 1000))
    assert isinstance(errors.PayloadTooLarge(2000, 1000), ValueError)


def test_what_steers_an_attempt_takes_seconds_or_a_timedelta() -> None:
    assert errors.Retry().after is None
    assert errors.Retry(after=timedelta(minutes=1)).after == 60.0
    assert errors.Snooze(timedelta(seconds=2)).seconds == 2.0
    for wrong in (-1, float("nan"), float("inf"), timedelta(seconds=-1)):
        with pytest.raises(ValueError, match=r"^Retry\(after=…\) takes seconds"):
            errors.Retry(after=wrong)
        with pytest.raises(ValueError, match=r"^Snooze\(seconds\) takes seconds"):
            errors.Snooze(wrong)


def test_the_tree_at_the_top_of_the_errors_is_the_tree_below() -> None:
    drawn = re.findall(r"^[│ ]*[├└]── (\w+)", errors.__doc__ or "", re.M)
    defined = [
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.BuraqError)
    ]
    assert ["BuraqError", *drawn] == sorted(defined, key=["BuraqError", *drawn].index)
    assert all(vars(errors)[name].__doc__ for name in defined)
