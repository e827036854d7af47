"""`--url` means that very server, whatever the environment says of sentinels and clusters."""

import json

import pytest
from click.testing import CliRunner

from buraq.cli.root import buraq


@pytest.mark.parametrize(
    "env", [{"REDIS_CLUSTER": "true"}, {"REDIS_SENTINELS": "a:1", "REDIS_SENTINEL_MASTER": "main"}]
)
def test_url_wins_over_sentinels_and_cluster(env: dict[str, str]) -> None:
    result = CliRunner().invoke(buraq, ["-u", "redis://one:1/0", "config", "--json"], env=env)

    said = json.loads(result.stdout)
    assert (said["redis_url"], said["redis_cluster"], said["redis_sentinels"]) == ("redis://one:1/0", False, [])
