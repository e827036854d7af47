"""What the documentation says of names, commands and tables is what the code has."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import fakeredis
import pytest
from prometheus_client.parser import text_string_to_metric_families

from buraq import Buraq, metrics
from buraq.cli.root import buraq
from buraq.config import SETTINGS, settings_table
from buraq.inspector import Inspector
from buraq.keys import Names, QueueKeys
from buraq.metrics import QueueCollector, TaskMetrics
from buraq.web.blueprint import VIEWS
from buraq.web.v1.routes import ROUTES
from tests.pages import EXAMPLES, PAGES, ROOT, Block, anchors, blocks, prose, table

DOCS = ROOT / "docs"
SOURCE = ROOT / "buraq"
# In capitals with an underscore, and no settings: others read them, or they are arguments of commands.
NOT_OURS = {
    *("WEB_CONCURRENCY", "PROMETHEUS_MULTIPROC_DIR", "NO_COLOR", "BURAQ_FAIL_POINTS"),
    *("GRAFANA_ADMIN_USER", "GRAFANA_ADMIN_PASSWORD", "HEALTHCHECK_URL", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS"),
    *("NEXT_PUBLIC_API_URL", "VITE_API_URL"),  # what the page is developed with
}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_python_block = pytest.mark.parametrize(
    "block", [block for page in PAGES for block in blocks(page) if block.language == "python"], ids=str
)


# --- Code


@each_python_block
def test_python_compiles(block: Block) -> None:
    compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")


@each_page
def test_blocks_are_of_kinds_that_the_tests_know(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            assert all(word == "no-run" or re.fullmatch(r"file=[\w/]+\.py", word) for word in block.words), block
        else:
            assert block.words == () or (block.language, block.words) == ("sh", ("run",)), block


def test_the_first_code_of_the_readme_comes_before_line_25_and_is_short() -> None:
    first = blocks(ROOT / "README.md")[0]
    code = [line for line in first.text.splitlines() if line.strip()]
    assert first.line < 25
    assert len(code) <= 15


def commands() -> Iterator[object]:
    """Yield the `buraq` command lines of all pages, as words."""
    for page in PAGES:
        for block in blocks(page):
            if block.language not in ("sh", "console"):
                continue
            for offset, line in enumerate(block.text.replace("\\\n", " ").splitlines()):
                words = shlex.split(line.removeprefix("$ "), comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # settings before the command
                    del words[0]
                if "|" in words:
                    del words[: words.index("|") + 1]
                if words[:3] == ["python", "-m", "buraq"]:
                    words[:3] = ["buraq"]
                if words[:1] == ["buraq"]:
                    where = f"{page.relative_to(ROOT)}:{block.line + offset}"
                    yield pytest.param(words[1:], id=f"{where} {' '.join(words)}")


@pytest.mark.parametrize("words", list(commands()))
def test_the_command_line_takes_what_is_shown(words: list[str]) -> None:
    command: click.Command = buraq
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(click.Context(command)).parse_args(words)
        assert rest and rest[0] in command.commands, f"{command.name} has no command {' '.join(rest[:1])!r}"
        command, words = command.commands[rest[0]], rest[1:]
    command.make_context(command.name, words)


def test_make_targets_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    code = "".join(block.text for page in PAGES for block in blocks(page))
    shown = set(re.findall(r"^make ([a-z-]+)", code, re.M))
    assert shown and shown <= targets


# --- Links


@each_page
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_index_names_every_page() -> None:
    linked = set(re.findall(r"\]\(([a-z-]+\.md)\)", (DOCS / "index.md").read_text()))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"index.md"}


def test_tests_that_are_named_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / "reliability.md").read_text())
    assert len(named) > 20
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    roots = "buraq|tests|docs|deploy|benchmarks"
    for named in re.findall(rf"`((?:{roots})/[\w./-]*)`", prose(page)):
        assert EXAMPLES in page.parents or (ROOT / named).exists(), named


# --- Settings


def test_the_table_of_all_settings_is_the_generated_one() -> None:
    assert settings_table() in (DOCS / "settings.md").read_text(), "`python -m buraq.config` prints the table"


def test_the_readmes_settings_are_rows_of_that_table() -> None:
    rows = re.findall(r"^\| `[A-Z_]+`.*$", (ROOT / "README.md").read_text(), re.M)
    assert len(rows) > 10
    assert set(rows) <= set(settings_table().splitlines())


@each_page
def test_variables_that_are_named_are_settings(page: Path) -> None:
    known = {variable for setting in SETTINGS for variable in setting.variables}
    code = "".join(block.text for block in blocks(page) if block.language != "python")
    for name in re.findall(r"(?<![\w./$])[A-Z]+(?:_[A-Z]+)+(?![\w.])", prose(page) + code):
        assert name in known | NOT_OURS or name.removeprefix("BURAQ_") in known, name


def test_each_setting_has_an_effect() -> None:
    code = "".join(path.read_text() for path in SOURCE.rglob("*.py") if path.name != "config.py")
    assert {known.field for known in SETTINGS if not re.search(rf"\b{known.field}\b", code)} == set()


# --- Keys and scripts


def test_the_keys_are_those_of_the_code() -> None:
    keys = QueueKeys("<queue>", "<base>", "<base>_dlq")
    made = {
        *keys.streams.values(),
        *(keys.dlq, keys.scheduled, keys.tasks, keys.index, keys.leases, keys.types),
        *(keys.worker("<name>"), keys.settled("<name>"), keys.accepted("<producer>"), keys.result("<id>")),
        keys.owner("<key>"),
        *(keys.statistics, keys.groups, *keys.histories.values(), keys.finished),
        *(Names("<stream_name>").queues, Names("<stream_name>").limits, Names("<stream_name>").audit),
        *(
            Names("<stream_name>").operations,
            Names("<stream_name>").operation("<id>"),
            Names("<stream_name>").runner("<id>"),
            Names("<stream_name>").paused,
        ),
    }
    # Every name that the class has was asked for: one that is added has to be shown, too.
    asked = {
        "streams",
        "by_priority",
        "scheduled",
        "tasks",
        "index",
        "leases",
        "types",
        "worker",
        "settled",
        "accepted",
    }
    asked |= {"result", "owner", "statistics", "groups", "histories", "finished"}
    assert {name for name in vars(QueueKeys) if not name.startswith("_")} - {"owners", "shard"} == asked
    assert {row[0].strip("`") for row in table(DOCS / "redis-streams.md", "key")} == made


def test_the_scripts_are_described_by_their_own_first_line() -> None:
    described = {row[0].strip("`"): row[1] for row in table(DOCS / "redis-streams.md", "script")}
    first = {path.stem: path.read_text().splitlines()[0].removeprefix("-- ") for path in SOURCE.glob("lua/*.lua")}
    assert described == first


# --- What can be watched


def shown_metrics() -> dict[str, tuple[str, set[str]]]:
    """Return the metrics that a worker and the API show: name to type and labels."""
    counted = TaskMetrics()
    counted.completed("docs", 1.0, 1.0)
    counted.failed("docs", 1.0, 1.0)
    counted.retried("docs")
    counted.dead("docs")
    counted.enqueued("docs")
    counted.slots(0, 1)
    counted.channel_depth(0)
    counted.hub_blocked("docs", 1.0)
    counted.redis_up(True)
    counted.flush()
    gauges = QueueCollector(Inspector(Buraq(client=fakeredis.FakeRedis()).backend))
    body, _ = metrics.render([gauges])
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
    return found


def test_the_metrics_are_those_of_the_code_with_their_types_and_labels() -> None:
    rows = table(DOCS / "observability.md", "metric")
    described = {row[0].strip("`"): (row[1], set(re.findall(r"`(\w+)`", row[2]))) for row in rows}
    assert tuple(described) == metrics.NAMES
    assert described == shown_metrics()


def test_queries_ask_for_metrics_that_exist() -> None:
    queries = [block for page in PAGES for block in blocks(page) if block.language == "promql"]
    assert queries
    for block in queries:
        for name in re.findall(r"\bburaq_\w+", block.text):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in metrics.NAMES, f"{block}: {name}"


def test_the_alerts_are_those_of_the_rules() -> None:
    rules = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    described = [row[0].strip("`") for row in table(DOCS / "observability.md", "alert")]
    assert described == re.findall(r"^ +- alert: (\w+)$", rules, re.M)


def test_log_lines_and_reasons_that_are_named_are_written_somewhere() -> None:
    code = "".join(path.read_text() for path in (*SOURCE.rglob("*.py"), *SOURCE.rglob("*.lua")))
    events = [row[0].strip("`") for row in table(DOCS / "observability.md", "event")]
    reasons = [row[0].strip("`") for row in table(DOCS / "tasks.md", "reason")]
    assert len(events) > 5 and len(reasons) == 6
    for said in (*events, *reasons):
        assert f'"{said}"' in code or f"'{said}'" in code, said


def test_the_events_are_those_that_the_scripts_publish() -> None:
    code = "".join(path.read_text() for path in (*SOURCE.rglob("*.py"), *SOURCE.rglob("*.lua")))
    described = {row[0].strip("`") for row in table(DOCS / "observability.md", "type")}
    assert described == {"Pending", "Processing", "Completed", "Failed", "DLQ"}
    assert all(re.search(rf"['\"]{name}['\"]", code) for name in described)


def test_endpoints_that_are_named_exist() -> None:
    paths = {path for path, _ in VIEWS.values()} | {"/livez", "/readyz"}
    served = {f"{method} {route.path}" for route in ROUTES for method in route.views}
    for method, path in re.findall(r"`(GET|POST|DELETE)? ?(/api/v1/[\w/{}-]*)`", (DOCS / "api.md").read_text()):
        assert f"{method or 'GET'} {path}" in served, path
    for page in PAGES:
        if EXAMPLES in page.parents:
            continue
        for method, path in re.findall(r"`(GET|POST) (/(?!api/v1)[\w/-]*)`", page.read_text()):
            assert path in paths, f"{page.name}: {path}"
            assert path not in dict(VIEWS.values()) or dict(VIEWS.values())[path] == method
    described = {row[0].strip("`") for row in table(ROOT / "README.md", "endpoint")}
    assert described == {f"{method} {path}" for path, method in VIEWS.values()}


def test_every_command_is_described() -> None:
    rows = " ".join(row[0] for row in table(DOCS / "cli.md", "command"))
    assert all(re.search(rf"`buraq {name}\b", rows) for name in buraq.commands)
