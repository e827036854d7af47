"""What one process makes once for all who ask."""

from typing import Any

from buraq.backend import Backend
from buraq.config import Config


def test_threads_that_ask_for_a_queue_at_once_get_one_broker() -> None:
    class Unseen(dict[str, Any]):
        """Looks empty, as when each looks before another has written."""

        def get(self, *_: Any) -> None:
            return None

    [shard] = Backend(Config.from_env({})).shards
    shard._brokers = Unseen()

    assert shard.broker("mail") is shard.broker("mail")
    assert shard.broker("mail") is not shard.broker("bulk")


def test_where_priorities_are_off_all_tasks_share_one_line() -> None:
    for said, letter in (("true", "h"), ("false", "n")):
        backend = Backend(Config.from_env({"ENABLE_PRIORITY": said}))
        assert backend.broker("mail").letter_of("high") == letter
