"""Worker, producer and API over TLS, and what they say of a certificate that nobody they know has signed."""

import gc
from collections.abc import Callable
from typing import Any

import pytest

from buraq import Buraq
from buraq.errors import QueueUnavailable
from buraq.web import create_app
from tests.cli.conftest import Running
from tests.guarded import TlsServer
from tests.security import chores
from tests.servers import PATIENCE, eventually
from tests.web.contracts import Client

pytestmark = pytest.mark.e2e

REMEDY = r"CERTIFICATE_VERIFY_FAILED.*ssl_ca_certs=.*REDIS_SSL_CERT_REQS=none"


@pytest.fixture(scope="module")
def tls(shared: Callable[..., Any]) -> TlsServer:
    return shared(TlsServer)  # type: ignore[no-any-return]


def test_worker_producer_and_api_work_over_tls_each_with_a_certificate(
    fresh: Callable[..., TlsServer], launch: Callable[..., Running]
) -> None:
    server = fresh(TlsServer, mutual=True)
    worker = launch(server.url, "worker")
    chores.queue.use(Buraq(redis_url=server.url).config)
    assert chores.add.enqueue(1, 2).result(PATIENCE) == 3
    app = create_app(Buraq(redis_url=server.url))
    api = Client(app)
    assert app.test_client().get("/api/health").status_code == 200
    assert len(app.test_client().get("/api/workers").json) == 1
    made = api.ask("POST", "/tasks", {"type": "add", "payload": {"a": 2, "b": 3}}).json
    assert made is not None
    eventually(lambda: api.get(f"/tasks/{made['id']}")["state"] == "completed")
    with app.test_client().get("/api/stream", buffered=False) as stream:
        frames = iter(stream.response)
        assert b"ping" in next(frames)
        chores.add.enqueue(4, 5)
        assert any(b"Completed" in frame for frame in frames)
    worker.process.terminate()
    assert worker.wait() == 0


# What breaks off in the midst of a handshake leaves its socket to the collector: gevent closes it for an OSError only.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_producer_names_the_remedy_for_a_certificate_that_it_does_not_know(tls: TlsServer) -> None:
    with pytest.raises(QueueUnavailable, match=REMEDY):
        Buraq(redis_url=tls.bare_url, enqueue_timeout="300ms").enqueue("add", {})
    gc.collect()  # now, not in the midst of another test


def test_a_worker_says_what_keeps_it_from_the_server_and_waits(tls: TlsServer, launch: Callable[..., Running]) -> None:
    worker = launch(tls.bare_url, "worker")
    eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in worker.output and "REDIS_SSL_CERT_REQS" in worker.output)
    assert worker.process.poll() is None
    assert tls.client().keys() == []


def test_the_command_line_ends_with_the_code_for_a_server_that_is_away(
    tls: TlsServer, launch: Callable[..., Running]
) -> None:
    status = launch(tls.bare_url, "status")
    assert status.wait() == 3
    assert "CERTIFICATE_VERIFY_FAILED" in status.output and "REDIS_SSL_CERT_REQS=none" in status.output


def test_the_api_is_not_healthy_with_a_server_that_it_does_not_trust(tls: TlsServer) -> None:
    http = create_app(Buraq(redis_url=tls.bare_url)).test_client()
    assert http.get("/api/health").status_code == 503
    assert http.get("/api/v1/system").status_code == 503


def test_every_certificate_is_trusted_where_the_setting_says_so(tls: TlsServer) -> None:
    assert Buraq(redis_url=tls.bare_url, redis_ssl_cert_reqs="none").enqueue("add", {}).created
    tls.client().flushall()
