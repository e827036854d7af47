"""The page: files that `make dashboard` has built into `static/`, served below the blueprint under any prefix.

All addresses in them are relative, so the page works wherever it is, behind a proxy that cuts off a prefix too; what
differs between its views is behind the hash. There is nothing of it that only some may read: it holds no data.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Request, Response
from werkzeug.exceptions import NotFound

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "woff2": "font/woff2",
}
PACKED = ("css", "html", "js", "json", "svg", "txt")  # what gets smaller
NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Buraq</title></head>
<body><h1>The dashboard is not built</h1>
<p>Run <code>make dashboard</code> in a checkout (it needs Node), or install the package, which brings it.</p>
<p>The API is there all the same: <a href="api/openapi.json">what it can do</a>.</p></body></html>
"""


BUILT = Path(__file__).parent / "static"


def serve(request: Request, name: str = "index.html", folder: Path = BUILT) -> Response:
    """Answer with a file of the page. Raises 404 for one that there is not."""
    try:
        body, packed, tag = _read(folder, name)
    except OSError:
        if name != "index.html":
            raise NotFound(f"there is no {name}") from None
        answer = Response(NOT_BUILT, 404, content_type=TYPES["html"])
        answer.headers["Content-Security-Policy"] = POLICY
        return answer
    kind = name.rpartition(".")[2]
    answer = Response(content_type=TYPES[kind])
    answer.set_etag(tag)
    # The names of assets say what is in them; the other files keep their names when they change.
    lasting = name.startswith("assets/")
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
    if kind == "html":
        answer.headers["Content-Security-Policy"] = POLICY
    if packed is not None:
        answer.vary.add("Accept-Encoding")
    if packed is not None and request.accept_encodings["gzip"] > 0:
        answer.headers["Content-Encoding"] = "gzip"
        answer.set_data(packed)
    else:
        answer.set_data(body)
    answer.make_conditional(request)
    return answer


@lru_cache(200)
def _read(folder: Path, name: str) -> tuple[bytes, bytes | None, str]:
    """Return a file's content, the same compressed where that helps, and its tag. Raises `OSError`."""
    parts = name.split("/")
    kind = name.rpartition(".")[2]
    if kind not in TYPES or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise FileNotFoundError(name)
    body = folder.joinpath(*parts).read_bytes()
    packed = gzip.compress(body, 6, mtime=0) if kind in PACKED else None
    return body, packed, hashlib.sha256(body).hexdigest()[:24]
