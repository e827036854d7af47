"""Where the shards of a cluster lie, and which one a task goes to."""

from collections import Counter

import pytest
from redis.crc import key_slot

from buraq.backend import Backend
from buraq.clusters import tag_of
from buraq.config import Config
from buraq.errors import ConfigError
from buraq.keys import Names

CLUSTER = {"REDIS_CLUSTER": "true"}


@pytest.mark.parametrize("masters", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("shards", [16, 24, 32])
@pytest.mark.parametrize("name", ["buraq_tasks", "jobs"])
def test_shards_are_spread_evenly_over_masters(name: str, shards: int, masters: int) -> None:
    at = Counter(key_slot(tag_of(name, n).encode()) * masters // 16384 for n in range(shards))
    assert len(at) == masters
    assert max(at.values()) <= -(-shards // masters) + 1


@pytest.mark.parametrize("masters", [4, 8, 16, 32])
@pytest.mark.parametrize("shards", [64, 128, 256])
def test_many_shards_are_no_less_evenly_spread_over_many_masters(shards: int, masters: int) -> None:
    at = Counter(key_slot(tag_of("buraq_tasks", n).encode()) * masters // 16384 for n in range(shards))
    assert set(at.values()) == {shards // masters}


def test_a_tag_says_whose_shard_it_is_and_never_changes() -> None:
    assert [tag_of("buraq_tasks", n) for n in (0, 1, 15)] == [
        "buraq_tasks:0.40",
        "buraq_tasks:1.63",
        "buraq_tasks:15.13",
    ]


def test_all_keys_of_a_shard_lie_in_one_slot() -> None:
    names = Backend(Config.from_env(CLUSTER)).shards[5].names
    slot = key_slot(names.base.encode())
    for queue in ("default", "mail"):
        keys = names.queue(queue)
        made = [*keys.streams.values(), keys.dlq, keys.scheduled, keys.tasks, keys.index, keys.leases, keys.types]
        made += [keys.worker("w"), keys.settled("w"), keys.accepted("p"), keys.result("{x}"), keys.owner("{a}key")]
        assert {key_slot(key.encode()) for key in (*made, names.queues, names.limits)} == {slot}


def test_a_dead_letter_stream_with_a_name_of_its_own_lies_there_too() -> None:
    names = Names("jobs", "graveyard").of_shard(2, "jobs:2")
    assert names.queue().dlq == "graveyard:{jobs:2}"


def test_an_idempotency_key_is_one_for_all_queues() -> None:
    names = Names().of_shard(1, "buraq_tasks:1")
    assert names.queue("mail").owner("k") == names.queue("default").owner("k") == "idemp:{buraq_tasks:1}:k"


def test_the_same_key_leads_to_the_same_shard_in_every_process() -> None:
    backend = Backend(Config.from_env(CLUSTER))
    assert [backend.shard_of(key).number for key in ("a", "b", "mail:123")] == [3, 9, 9]
    assert {backend.shard_of(str(n)).number for n in range(500)} == set(range(16))


def test_without_a_cluster_there_is_one_shard_with_the_plain_keys() -> None:
    [shard] = Backend(Config.from_env({"STREAM_SHARDS": "16"})).shards
    assert shard.names.queue().base == "buraq_tasks"
    assert shard.channel == "buraq_events"


@pytest.mark.parametrize(
    ("env", "wrong"),
    [({"STREAM_NAME": "{mine}"}, "STREAM_NAME"), ({"REDIS_URL": "unix:///run/redis.sock"}, "REDIS_URL")],
)
def test_what_a_cluster_cannot_have_is_refused(env: dict[str, str], wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({**CLUSTER, **env})
    assert caught.value.variable == wrong
