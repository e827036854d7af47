"""Lua files keep the contract in their header, and the loader holds callers to it."""

import hashlib
import re
from pathlib import Path

import pytest

from buraq import broker
from buraq.scripts import Script, load, parse

LUA = sorted((Path(__file__).parents[2] / "buraq" / "lua").glob("*.lua"))
PARTS = sorted((Path(__file__).parents[2] / "buraq" / "lua" / "parts").glob("*.lua"))
MOST_LINES = 120
KINDS = ("KEYS", "ARGV")
TAKES_MEMORY = {"enqueue", "duplicate", "announce"}  # new claims may be refused; announce writes nothing

each_script = pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)


def parts(path: Path) -> tuple[str, str]:
    header, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    return header, body


def declared(header: str, kind: str) -> list[tuple[int, bool]]:
    """Return what a header declares of a kind: number, and whether it is the head of an open list."""
    return [(int(number), plus == "+") for number, plus in re.findall(rf"^-- {kind}\[(\d+)(\+?)\]", header, re.M)]


@each_script
def test_the_header_is_all_comment_and_opens_with_a_sentence(path: Path) -> None:
    lines = parts(path)[0].splitlines()
    assert all(line == "--" or line.startswith("-- ") for line in lines)
    assert re.match(r"-- [A-Z].*[.:]", lines[0]), "the first line is a sentence that says what the transition does"


@each_script
def test_each_key_and_argument_has_a_name_and_a_meaning(path: Path) -> None:
    header = parts(path)[0]
    for line in header.splitlines():
        if line.startswith(("-- KEYS", "-- ARGV")):
            assert re.fullmatch(r"-- (KEYS|ARGV)\[\d+\+?\] [a-z_]+ +\S.*", line), line
    for kind in KINDS:
        names = re.findall(rf"^-- {kind}\[\d+\+?\] (\w+)", header, re.M)
        assert len(names) == len(set(names))


@each_script
@pytest.mark.parametrize("kind", KINDS)
def test_declarations_are_numbered_without_a_gap_and_only_the_last_is_open(path: Path, kind: str) -> None:
    numbers = declared(parts(path)[0], kind)
    assert [number for number, _ in numbers] == list(range(1, len(numbers) + 1))
    assert not any(is_open for _, is_open in numbers[:-1])


@each_script
@pytest.mark.parametrize("kind", KINDS)
def test_the_body_uses_what_is_declared_and_nothing_else(path: Path, kind: str) -> None:
    header, body = parts(path)
    numbers = declared(header, kind)
    fixed = {number for number, is_open in numbers if not is_open}
    used = {int(number) for number in re.findall(rf"\b{kind}\[(\d+)\]", body)}
    unknown = {number for number in used if number not in {n for n, _ in numbers}}
    assert unknown == set(), f"{kind} that the header does not declare"
    computed = re.search(rf"\b{kind}\[[^\]\d]", body)
    assert computed or used >= fixed, f"{kind} that the body does not use: {fixed - used}"
    assert numbers or kind not in body


@each_script
def test_the_header_says_what_is_returned(path: Path) -> None:
    header, body = parts(path)
    assert "-- Returns " in header
    for word in re.findall(r"return \{?'([A-Z]+)'", body):
        assert f'"{word}"' in header, f"the header does not say when {word} is returned"


@each_script
def test_all_keys_come_through_keys(path: Path) -> None:
    body = parts(path)[1]
    commands = re.findall(r"redis\.p?call\('(?!PUBLISH|PUBSUB|TIME)[A-Z]+'(?:, '[A-Z]+')?, ([^,)]+)", body)
    for key in commands:
        # Either an element of KEYS or a local that holds one; never a text, whole or in pieces.
        assert re.fullmatch(r"KEYS\[.+|[a-z_]+", key), key
        assert ".." not in key
    assert not re.search(r"'(KEYS|SCAN|EVAL|FLUSHALL|FLUSHDB)'", body)


@each_script
def test_files_stay_small_and_lines_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("path", [p for p in LUA if p.stem not in TAKES_MEMORY], ids=lambda path: path.stem)
def test_the_first_write_frees_memory(path: Path) -> None:
    """A server at maxmemory refuses a script's first write when it needs memory, and none that come after another."""
    writes = re.findall(r"'(XADD|HSETNX|HSET|SET|ZADD|XACK|XDEL|ZREM|HDEL|DEL)'", parts(path)[1])
    assert writes[0] in ("XACK", "XDEL", "ZREM", "HDEL")


@each_script
def test_nothing_is_claimed_trimmed_or_popped(path: Path) -> None:
    assert not re.search(r"'(XCLAIM|XAUTOCLAIM|XTRIM|MAXLEN|[BLR]*POP|ZPOPMIN|SPOP)'", parts(path)[1])


@each_script
def test_each_file_is_a_transition_of_the_broker(path: Path) -> None:
    names = {name.strip("_") for name in vars(broker.Broker)}
    assert path.stem in names


@each_script
def test_the_loader_reads_the_contract(path: Path) -> None:
    header = parts(path)[0]
    script = load(path.stem)
    for kind, count, more in (("KEYS", script.keys, script.more_keys), ("ARGV", script.args, script.more_args)):
        numbers = declared(header, kind)
        assert (count, more) == (sum(not is_open for _, is_open in numbers), any(is_open for _, is_open in numbers))


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_functions_that_scripts_share_take_what_they_touch_and_are_used(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(KEYS|ARGV)\b", text)
    assert max(map(len, text.splitlines())) <= 120
    code = [line for line in text.splitlines() if line and not line.startswith("--")]
    # A constant may stand before them: it is worked out once in a call.
    assert [line for line in code if not re.match(r" |local \w+ = ", line)][::2] == [
        line for line in code if line.startswith("local function ")
    ], "nothing but functions"
    assert any(re.search(rf"\bUses [a-z, ]*\b{path.stem}\b", parts(script)[0]) for script in LUA)


# --- The loader

SOURCE = """-- Do something.
--
-- KEYS[1] stream  of it
-- KEYS[2] index   of it
-- ARGV[1] name    of it
--
-- Returns "OK".

-- KEYS[3] is not part of the header
return 'OK'
"""
OPEN = """-- Do something.
--
-- KEYS[1] stream   of it
-- KEYS[2+] owners  of it
-- ARGV[1+] names   of it
"""


def test_only_the_header_declares() -> None:
    assert parse("do", SOURCE) == Script("do", SOURCE, hashlib.sha1(SOURCE.encode()).hexdigest(), 2, 1, False, False)


@pytest.mark.parametrize(("keys", "args"), [(1, 1), (3, 1), (2, 0), (2, 2), (0, 0)])
def test_a_wrong_number_of_keys_or_arguments_is_refused(keys: int, args: int) -> None:
    with pytest.raises(TypeError, match=rf"do\.lua takes 2 keys and 1 arguments, got {keys} and {args}"):
        parse("do", SOURCE)(["k"] * keys, ["a"] * args)


def test_an_open_list_takes_any_number_and_the_fixed_ones_are_still_needed() -> None:
    script = parse("do", OPEN)
    for keys, args in ((1, 0), (1, 3), (4, 0)):
        call = script(["k"] * keys, ["a"] * args)
        assert (len(call.keys), len(call.args)) == (keys, args)
    with pytest.raises(TypeError, match="got 0 and 1"):
        script([], ["a"])


def test_a_call_is_the_words_of_an_evalsha() -> None:
    script = parse("do", SOURCE)
    assert script(["k1", "k2"], [7]).command() == ("EVALSHA", script.sha, 2, "k1", "k2", 7)


def test_a_transition_is_read_once() -> None:
    assert load("enqueue") is load("enqueue")


def test_a_transition_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load("vanish")
