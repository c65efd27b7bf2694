"""A page of another origin that shows an avatar with the JavaScript module."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE = b"""<!doctype html>
<video muted></video>
<script type="module">
  const server = new URLSearchParams(location.search).get("server");
  const { Problem, Saccade } = await import(`${server}/saccade.js`);
  const seen = [];
  const avatar = new Saccade({ video: document.querySelector("video"), session: { seed: 7 } });
  for (const type of ["link", "speech", "interrupted"]) avatar.on(type, (e) => seen.push(e));
  window.app = { avatar, seen, Problem };
</script>
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def another_site() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
