"""`buraq tidy`: what the Go original left behind."""


def consume_as_the_original(redis, acked):
    redis.xgroup_create("buraq_tasks", "buraq_workers", "0", mkstream=True)
    for n in range(acked + 1):
        redis.xadd("buraq_tasks", {"payload": f'{{"id":"t{n}","type":"x"}}'})
    read = redis.xreadgroup("buraq_workers", "worker_node_1", {"buraq_tasks": ">"}, count=acked)
    redis.xack("buraq_tasks", "buraq_workers", *(entry for entry, _ in read[0][1]))


def test_it_asks_for_yes_without_a_terminal_and_then_deletes(run, redis):
    consume_as_the_original(redis, acked=3)
    asked = run("tidy")
    assert (asked.code, redis.xlen("buraq_tasks")) == (2, 4)
    assert "3 leftovers" in asked.err

    done = run("tidy", "--yes")
    assert (done.code, done.out.strip()) == (0, "Deleted 3 leftovers.")
    assert redis.xlen("buraq_tasks") == 1


def test_with_nothing_left_behind_it_has_nothing_to_ask(run, redis):
    assert run("tidy", "--json").json() == {"deleted": 0}
