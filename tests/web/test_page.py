"""The dashboard's files are served under any prefix, with a policy that lets nothing in from elsewhere."""

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.exceptions import NotFound

from buraq import Buraq
from buraq.web import blueprint, create_app
from buraq.web.page import BUILT, NOT_BUILT, POLICY, serve

AWAY = "redis://127.0.0.1:1/0"  # the page is there all the same


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<script src="./assets/a.js"></script>')
    (tmp_path / "assets" / "a.js").write_text("let a = 1;" * 100)
    (tmp_path / "assets" / "font.woff2").write_bytes(b"\0\1")
    return tmp_path


def ask(folder: Path, name: str = "index.html", **headers: str):  # type: ignore[no-untyped-def]
    app = Flask("x")
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    with app.test_request_context(headers=named):
        from flask import request

        return serve(request, name, folder)


def test_the_page_has_a_strict_policy_and_is_asked_for_each_time(built: Path) -> None:
    answer = ask(built)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["Cache-Control"] == "no-cache"
    assert ask(built, If_None_Match=answer.headers["ETag"]).status_code == 304


def test_assets_last_and_are_packed_for_who_takes_that(built: Path) -> None:
    plain, packed = ask(built, "assets/a.js"), ask(built, "assets/a.js", Accept_Encoding="gzip")
    assert "immutable" in plain.headers["Cache-Control"]
    assert plain.content_type == "text/javascript; charset=utf-8"
    assert gzip.decompress(packed.get_data()) == plain.get_data()
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in ask(built, "assets/font.woff2", Accept_Encoding="gzip").headers


@pytest.mark.parametrize(
    "name", ["assets/b.js", "assets/../index.html", "../page.py", "/etc/passwd", "assets//a.js", "a.py", "", "assets"]
)
def test_what_is_not_there_is_not_found(built: Path, name: str) -> None:
    with pytest.raises(NotFound):
        ask(built, name)


def test_without_a_build_the_page_says_what_to_do(tmp_path: Path) -> None:
    answer = ask(tmp_path)
    assert (answer.status_code, answer.get_data(as_text=True)) == (404, NOT_BUILT)


def test_the_first_load_of_the_built_page_is_small_and_the_map_comes_in_a_file_of_its_own() -> None:
    """At most 150 kB (gzip 9); fonts are no part of it."""
    page = (BUILT / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'<(?:script|link rel="(?:modulepreload|stylesheet)")[^>]* (?:src|href)="\./([^"]+)"', page)
    kinds = {name.rpartition(".")[2] for name in named}
    files = {name: (BUILT / name).read_bytes() for name in ("index.html", *named)}
    assert kinds == {"js", "css"}
    assert sum(len(gzip.compress(body, 9)) for body in files.values()) <= 150_000
    assert [name for name, body in files.items() if b"react-flow" in body] == []
    others = (path for path in (BUILT / "assets").glob("*.js") if f"assets/{path.name}" not in files)
    assert len([path.name for path in others if b"react-flow" in path.read_bytes()]) == 1


def test_our_own_app_has_the_page_at_its_root_and_the_api_beside_it() -> None:
    http = create_app(Buraq(redis_url=AWAY)).test_client()
    answer = http.get("/")
    assert answer.status_code == (200 if (BUILT / "index.html").exists() else 404)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert http.post("/").status_code == 405
    assert http.get("/assets/none.js").status_code == 404
    assert http.get("/api/openapi.json").json["openapi"] == "3.1.0"  # type: ignore[index]


def test_in_a_host_app_the_page_is_at_the_prefix_and_never_in_place_of_its_own() -> None:
    app = Flask("host")
    app.register_blueprint(blueprint(Buraq(redis_url=AWAY)), url_prefix="/admin/tasks")
    app.register_blueprint(blueprint(Buraq(redis_url=AWAY), name="plain"))
    app.add_url_rule("/", "front", lambda: "the shop")
    http = app.test_client()
    assert http.get("/").text == "the shop"
    assert "Content-Security-Policy" in http.get("/admin/tasks/").headers
    assert http.get("/admin/tasks").headers["Location"].endswith("/admin/tasks/")


def test_a_host_app_may_leave_the_page_out() -> None:
    app = Flask("host")
    app.register_blueprint(blueprint(Buraq(redis_url=AWAY), page=False), url_prefix="/admin")
    assert app.test_client().get("/admin/").status_code == 404
