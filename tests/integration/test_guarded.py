"""The servers that let in only whom they know do keep the others out."""

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.exceptions import ConnectionError as Disconnected

from tests.guarded import AclServer, TlsServer
from tests.servers import CLIENT, KINDS

pytestmark = pytest.mark.e2e


def connect(url):
    return Redis.from_url(url, **CLIENT)


@pytest.mark.parametrize("mutual", [False, True])
def test_a_server_behind_tls_serves_who_knows_its_authority(fresh, mutual):
    server = fresh(TlsServer, mutual=mutual)

    assert server.client().set("greeting", "hello")
    with connect(server.bare_url) as stranger, pytest.raises(Disconnected, match="CERTIFICATE_VERIFY_FAILED"):
        stranger.ping()
    with connect(f"redis://127.0.0.1:{server.port}") as open_client, pytest.raises(Disconnected):
        open_client.ping()


def test_a_client_without_a_certificate_is_refused_where_one_is_asked_for(fresh):
    server = fresh(TlsServer, mutual=True)

    with (
        connect(f"{server.bare_url}?ssl_ca_certs={server.authority.certificate}") as client,
        pytest.raises(Disconnected),
    ):
        client.ping()


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_may_what_its_rules_say_also_after_a_restart(fresh, kind):
    server = fresh(AclServer, {"producer": "~tasks* -@all +ping +set +eval"}, kind)
    server.restart()
    producer = server.client_of("producer")

    assert producer.set("tasks:1", "x")
    with pytest.raises(NoPermissionError):
        producer.set("other", "x")
    with pytest.raises(NoPermissionError):
        producer.get("tasks:1")
    with pytest.raises(ResponseError):
        producer.eval("return redis.call('SET', 'other', 1)", 0)
    with connect(f"redis://127.0.0.1:{server.port}") as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
    assert server.client().get("other") is None
    assert {("producer", "key", "other"), ("producer", "command", "get")} <= set(server.refused())
