"""The files that platforms read agree with the code and with each other.

There is no YAML parser among the dependencies, so the YAML files are read by lines, which their
plain style allows.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from buraq.metrics import NAMES

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy/grafana/dashboards/buraq.json"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
ALERT_TESTS = ROOT / "deploy/prometheus/alerts_test.yml"
COMPOSE = ROOT / "docker-compose.yml"
WORKFLOW = ROOT / ".github/workflows/ci.yml"

METRICS = set(NAMES)
ORIGINAL_METRICS = {
    "buraq_tasks_processed_total",
    "buraq_tasks_failed_total",
    "buraq_tasks_dlq_total",
    "buraq_task_duration_seconds",
    "buraq_worker_panics_total",
    "buraq_channel_depth",
    "buraq_tasks_duplicate_total",
}


def metric_names(text: str) -> set[str]:
    """The metrics a text speaks of; a histogram's series count as the histogram."""
    names = re.findall(r"\bburaq_[a-z_]+", text)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def dashboard_queries() -> list[str]:
    board = json.loads(DASHBOARD.read_text())
    panels = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    variables = [variable["definition"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    return panels + variables


def blocks(text: str, indent: int) -> dict[str, str]:
    """Split YAML into the keys of one indentation and the lines under each."""
    parts = re.split(rf"^ {{{indent}}}([\w-]+):.*\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def services() -> dict[str, str]:
    return blocks(blocks(COMPOSE.read_text(), 0)["services"], 2)


def healthcheck() -> list[str]:
    """The command of the image's health check, as Docker would run it."""
    text = (ROOT / "Dockerfile").read_text()
    match = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", text, re.MULTILINE)
    assert match, "the Dockerfile has no HEALTHCHECK in exec form"
    return list(json.loads(match.group(1)))


def test_the_procfile_starts_the_api_and_the_worker() -> None:
    assert (ROOT / "Procfile").read_text().splitlines() == [
        "web: gunicorn wsgi:app",
        "worker: python -m buraq worker",
    ]


def test_app_json_configures_only_processes_that_the_procfile_has() -> None:
    app = json.loads((ROOT / "app.json").read_text())

    processes = [line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    assert set(app["formation"]) == set(processes)
    assert all(entry["description"] for entry in app["env"].values())


def test_the_image_runs_as_a_numeric_user_and_reports_its_health() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()

    assert "USER 10001:10001" in lines
    assert "STOPSIGNAL SIGTERM" in lines
    assert 'CMD ["gunicorn", "wsgi:app"]' in lines
    assert lines.index("USER 10001:10001") > max(
        number for number, line in enumerate(lines) if line.startswith(("FROM ", "RUN "))
    )
    assert healthcheck()[0] == "python"


def test_what_the_image_copies_is_not_ignored() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
    copied = {name for line in copies for name in line.split()}

    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    assert copied == {line[1:] for line in ignore if line.startswith("!")}


@pytest.fixture
def health_server() -> Iterator[HTTPServer]:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in ("/api/health", "/livez") else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("settings", "healthy"),
    [
        ({"PORT": "{port}"}, True),
        ({"HEALTHCHECK_URL": "http://127.0.0.1:{port}/livez"}, True),
        ({"HEALTHCHECK_URL": "http://127.0.0.1:{port}/degraded"}, False),
        ({"PORT": "{port}", "http_proxy": "http://127.0.0.1:9"}, True),
    ],
    ids=["the API", "a worker", "a degraded API", "a proxy in the environment"],
)
def test_the_health_check_tells_a_healthy_process_from_a_sick_one(
    health_server: HTTPServer, settings: dict[str, str], healthy: bool
) -> None:
    filled = {k: v.format(port=health_server.server_port) for k, v in settings.items()}
    env = {"PATH": os.environ["PATH"], **filled}

    check = subprocess.run([sys.executable, *healthcheck()[1:]], env=env, capture_output=True, timeout=120)

    assert (check.returncode == 0) is healthy, check.stderr.decode()


def test_compose_has_the_services_and_starts_the_worker_with_the_api() -> None:
    assert set(services()) == {"redis", "buraq", "buraq-worker", "prometheus", "grafana"}
    assert "buraq-worker:" in services()["buraq"].partition("depends_on:")[2]
    assert 'ENABLE_MOCK_TASKS: "true"' in services()["buraq-worker"]


def test_compose_publishes_ports_on_loopback_only() -> None:
    published = {
        name: re.findall(r'^      - "?(\S+:\d+)"?$', lines.partition("ports:")[2], re.MULTILINE)
        for name, lines in services().items()
    }

    assert published == {
        "redis": ["127.0.0.1:6379:6379"],
        "buraq": ["127.0.0.1:8080:8080"],
        "buraq-worker": ["127.0.0.1:2112:2112"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_compose_keeps_what_redis_accepted() -> None:
    redis = services()["redis"]

    assert '"--appendonly", "yes"' in redis
    assert '"--maxmemory-policy", "noeviction"' in redis
    assert "redis-data:/data" in redis


def test_the_stop_grace_outlasts_the_shutdown_timeout() -> None:
    text = COMPOSE.read_text()
    [grace] = re.findall(r"stop_grace_period: (\d+)s", text)
    [shutdown] = re.findall(r"SHUTDOWN_TIMEOUT: (\d+)s", text)

    # The arbiter gives its workers three seconds beyond SHUTDOWN_TIMEOUT before it kills them.
    assert int(grace) > int(shutdown) + 3


def test_image_tags_are_pinned() -> None:
    images = re.findall(r"^ +image: (\S+)", COMPOSE.read_text(), re.MULTILINE)
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert images
    for image in images:
        tag = image.partition(":")[2]
        assert tag and tag != "latest", image


def test_grafana_takes_its_login_from_the_environment() -> None:
    grafana = services()["grafana"]

    assert "GF_SECURITY_ADMIN_USER: ${GRAFANA_ADMIN_USER:-admin}" in grafana
    assert "GF_SECURITY_ADMIN_PASSWORD: ${GRAFANA_ADMIN_PASSWORD:-admin}" in grafana


def test_prometheus_scrapes_compose_and_host_as_separate_jobs() -> None:
    text = (ROOT / "prometheus.yml").read_text()
    jobs = re.split(r"- job_name: ", text)[1:]
    targets = {job.split("\n")[0]: re.findall(r'targets: \["(.+?)"\]', job) for job in jobs}

    assert targets["buraq"] == ["buraq:8080", "buraq-worker:2112"]
    assert targets["buraq-host"] == ["host.docker.internal:8080", "host.docker.internal:2112"]
    assert "host.docker.internal:host-gateway" in services()["prometheus"]


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS, ALERT_TESTS], ids=lambda path: path.name)
def test_dashboard_and_alerts_use_metrics_that_exist(path: Path) -> None:
    text = "\n".join(dashboard_queries()) if path == DASHBOARD else path.read_text()

    assert metric_names(text)
    assert metric_names(text) - METRICS == set()


def test_the_dashboard_shows_every_metric_of_the_original() -> None:
    assert ORIGINAL_METRICS - metric_names("\n".join(dashboard_queries())) == set()


def test_the_dashboard_asks_for_its_data_source_and_adds_nothing_up_across_jobs() -> None:
    board = json.loads(DASHBOARD.read_text())

    for panel in board["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            selectors = re.findall(r"buraq_\w+(?:\{([^}]*)\})?", target["expr"])
            assert all('job=~"$job"' in selector for selector in selectors), target["expr"]


def test_the_dashboards_folder_is_where_grafana_looks() -> None:
    provider = (ROOT / "deploy/grafana/provisioning/dashboards/buraq.yml").read_text()
    [folder] = re.findall(r"path: (\S+)", provider)

    assert f"./deploy/grafana/dashboards:{folder}:ro" in services()["grafana"]
    assert f"{folder}/{DASHBOARD.name}" in services()["grafana"]


def test_every_alert_says_what_to_do_and_is_tested() -> None:
    alerts = re.split(r"^ +- alert: ", ALERTS.read_text(), flags=re.MULTILINE)[1:]
    tested = ALERT_TESTS.read_text()

    for alert in alerts:
        name = alert.split("\n")[0]
        for part in ("severity:", "summary:", "description:", "runbook:"):
            assert part in alert, f"{name} has no {part}"
        assert f'alertname="{name}"' in tested, f"{name} is in no test of {ALERT_TESTS.name}"


def test_no_alert_adds_up_across_jobs() -> None:
    for line in ALERTS.read_text().splitlines():
        for labels in re.findall(r"\b(?:sum|max|min|count|avg)\b(?: by \((.*?)\))? ?\(", line):
            assert "job" in labels.split(", "), line


def test_actions_are_pinned_by_commit_with_the_release_in_a_comment() -> None:
    uses = re.findall(r"uses: (.*)", WORKFLOW.read_text())

    assert uses
    for use in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use), use


def test_ci_runs_on_every_python_that_is_supported() -> None:
    text = WORKFLOW.read_text()

    assert set(blocks(blocks(text, 0)["jobs"], 2)) == {"lint", "dashboard", "test", "build", "image"}
    assert 'python-version: ["3.11", "3.12", "3.13", "3.14"]' in text
    assert "PYTHON: python${{ matrix.python-version }}" in text
