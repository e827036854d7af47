"""A worker whose user may not do all that it must does not start, and says what is missing; nothing is lost by it."""

import re
from collections.abc import Callable, Iterator

import pytest
from redis.exceptions import NoPermissionError

from buraq import Buraq
from buraq.deadletters import DeadLetters
from buraq.worker.rights import Rights, rule_of
from tests.cli.conftest import Running
from tests.guarded import AclServer
from tests.security import chores
from tests.security.rules import commands, rules
from tests.servers import PATIENCE, eventually
from tests.web.workplace import Workplace

pytestmark = pytest.mark.e2e


@pytest.fixture
def change(acl: AclServer) -> Iterator[Callable[..., None]]:
    """Change the rules of a user until the end of the test: `change("worker", "-zadd")`."""
    changed: set[str] = set()

    def change(user: str, rule: str) -> None:
        changed.add(user)
        acl.client().execute_command("ACL", "SETUSER", user, *rule.split())

    yield change
    for user in changed:
        change(user, f"reset on >{acl.password_of(user)} {rules()[user]}")


def test_a_worker_asks_for_all_that_its_rules_grant_and_for_nothing_else() -> None:
    backend = Buraq().backend
    asked = {rule_of(form) for form, _ in Rights(backend.names).needed(backend.broker("default"))}
    assert asked == commands("worker") - {"info"}


@pytest.mark.parametrize(
    ("rule", "missing"),
    [
        ("-zadd", "lacks commands zadd;"),
        ("-xadd -hset", "lacks commands hset, xadd;"),
        ("-@stream", "lacks commands xack, xadd, "),
        ("-hkeys", "lacks commands hkeys on buraq_tasks:paused;"),
        ("-evalsha", r"lacks EVALSHA of rights\.lua: "),
        ("-script|load", r"lacks SCRIPT LOAD: |lacks commands script\|load;"),
        ("resetkeys ~buraq_tasks ~buraq_tasks[_:]*", "lacks keys idemp:any;"),
        ("resetkeys ~buraq_tasks ~buraq_tasks[_:]* %R~idemp:*", "lacks keys idemp:any;"),
        (
            "resetkeys ~buraq_tasks ~buraq_tasks_[^d]* ~buraq_tasks:* ~idemp:*",
            "lacks keys buraq_tasks_dlq, buraq_tasks_dlq:groups;",
        ),
        ("resetkeys", "lacks commands bitfield .* and .* more;"),
        ("resetchannels", "lacks commands publish on buraq_events;"),
    ],
)
def test_a_worker_with_an_incomplete_rule_does_not_start_and_says_what_is_missing(
    acl: AclServer, change: Callable[..., None], launch: Callable[..., Running], rule: str, missing: str
) -> None:
    chores.queue.use(Buraq(redis_url=acl.url).config)
    chores.fails_once.enqueue()
    chores.add.options(delay=0.01).enqueue(1, 2)
    change("worker", rule)

    worker = launch(acl.url_of("worker"), "worker")

    assert worker.wait() == 2
    [said] = [line for line in worker.output.splitlines() if line.startswith("Error: ")]
    assert re.search(missing, said), said
    assert "REDIS_URL='redis://worker:***@127.0.0.1:" in said
    assert "docs/security.md has the rules" in said
    admin = acl.client()
    assert (admin.xlen("buraq_tasks"), admin.zcard("buraq_tasks:scheduled")) == (1, 1)
    assert admin.zcard("buraq_tasks:leases") == 0


def test_rules_that_are_cut_short_under_a_worker_stop_it_before_it_takes_more_and_mended_it_goes_on(
    acl: AclServer, change: Callable[..., None], launch: Callable[..., Running]
) -> None:
    chores.queue.use(Buraq(redis_url=acl.url).config)
    worker = launch(acl.url_of("worker"), "worker", LEASE_TTL="1s")
    assert chores.add.enqueue(1, 2).result(PATIENCE) == 3

    change("worker", "-zadd")
    acl.client().client_kill_filter(user="worker")  # what comes back is another user, as after a failover
    eventually(lambda: "no permission" in worker.output)
    handle = chores.fails_once.enqueue()
    eventually(lambda: worker.output.count("no permission") > 1)
    assert handle.state() == "waiting"
    change("worker", "+zadd")

    assert handle.result(PATIENCE) == 1
    worker.process.terminate()
    assert worker.wait() == 0


def test_a_queue_that_turns_up_and_may_not_be_worked_on_holds_up_no_other(
    acl: AclServer, change: Callable[..., None], launch: Callable[..., Running]
) -> None:
    chores.queue.use(Buraq(redis_url=acl.url).config)
    change("worker", "resetkeys ~buraq_tasks ~buraq_tasks_* ~buraq_tasks:[^z]* ~idemp:*")
    for _ in range(2):  # the second one finds it there when it starts
        worker = launch(acl.url_of("worker"), "worker", LEASE_TTL="1s")
        assert chores.add.enqueue(1, 2).result(PATIENCE) == 3
        handle = chores.add.options(queue="zoo", id="z").enqueue(1, 2)

        eventually(lambda worker=worker: worker.output.count("no permission") > 1)  # longer than a lease holds

        assert chores.add.enqueue(2, 3).result(PATIENCE) == 5
        assert handle.state() == "waiting"
        worker.process.terminate()
        assert worker.wait() == 0
        assert "stop: Redis" not in worker.output


def test_a_replay_that_may_not_add_takes_nothing_from_the_dead_letters(
    acl: AclServer, change: Callable[..., None]
) -> None:
    work = Workplace(Buraq(redis_url=acl.url), acl.client())
    work.lease()
    work.app.enqueue("f", idempotency_key="k")
    work.bury(1)
    letters = DeadLetters(Buraq(redis_url=acl.url_of("api")).backend, "default")
    for rule in ("-xadd", "+xadd -hset", "+hset -hincrby", "+hincrby resetkeys ~buraq_tasks ~buraq_tasks[_:]*"):
        change("api", rule)
        before = dump(acl)

        with pytest.raises(NoPermissionError, match=r"EVALSHA of replay\.lua: "):
            letters.replay_all()

        assert dump(acl) == before
    change("api", "~idemp:*")
    assert letters.replay_all().replayed == 1


def dump(server: AclServer) -> dict[bytes, bytes]:
    client = server.client(decode_responses=False)
    return {key: client.dump(key) for key in client.scan_iter() if b":limits" not in key}
