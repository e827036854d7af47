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
