"""nginx and Caddy as docs/deploy.md has them: its own snippets, with other names and ports."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.browser import ROOT, free_port
from tests.stream.test_tls import self_signed

HOSTS: Final = ("nginx", "caddy")
KINDS: Final = (*HOSTS, "nginx below a path", "caddy below a path")
SILENT: Final = "nginx below a silent path"
"It tells the server nothing of the path."
TIMEOUT: Final = "2s"
"In place of nginx' minute: whatever pauses longer than this is cut off."


@dataclass(frozen=True)
class Proxy:
    """One that runs."""

    base: str
    "https://localhost:PORT, and the path that Saccade is shown below."
    path: str
    trust: ssl.SSLContext


def missing(kind: str) -> str | None:
    """Why there is no such proxy here."""
    name = kind.split()[0]
    return None if shutil.which(name) else f"{name} is not installed"


def snippets(language: str) -> list[str]:
    """The code blocks of docs/deploy.md in a language: for a host, for a path."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 2, f"docs/deploy.md has {len(found)} blocks for {language}"
    return found


def replaced(text: str, changes: dict[str, str]) -> str:
    """``text`` with other words, each of which has to be there."""
    for old, new in changes.items():
        assert old in text, f"docs/deploy.md no longer has {old!r}"
        text = text.replace(old, new)
    return text


@contextmanager
def running_proxy(kind: str, server: str, folder: Path) -> Iterator[Proxy]:
    """One of `KINDS`, or `SILENT`, before the server at the address ``server``."""
    port = free_port()
    certificate, key = self_signed(folder, "proxy")
    below = kind.endswith("path")
    address = server.removeprefix("http://")
    if kind.startswith("nginx"):
        command = nginx(folder, port, below, address, certificate, key, silent=kind == SILENT)
    else:
        command = caddy(folder, port, below, address, certificate, key)
    log = (folder / "proxy.log").open("wb")
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = subprocess.Popen(command, env=os.environ | home, stdout=log, stderr=log)
    try:
        listening(port, process, folder / "proxy.log")
        path = "/avatar" if below else ""
        trust = ssl.create_default_context(cafile=str(certificate))
        yield Proxy(f"https://localhost:{port}{path}", path, trust)
    finally:
        process.terminate()
        try:
            process.wait(5)
        finally:
            process.kill()
            process.wait()
            log.close()


def nginx(
    folder: Path, port: int, below: bool, server: str, cert: Path, key: Path, *, silent: bool
) -> list[str]:
    """Write its configuration; the command that runs it."""
    host, location = snippets("nginx")
    live = "/etc/letsencrypt/live/avatar.example.com"
    site = replaced(
        host,
        {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            f"{live}/fullchain.pem": str(cert),
            f"{live}/privkey.pem": str(key),
            "avatar.example.com": "localhost",
        },
    )
    if below:
        site, times = re.subn(
            r"^    location / \{.*?^    \}\n", lambda _: location, site, flags=re.S | re.M
        )
        assert times == 1
    if silent:
        site = replaced(site, {"proxy_set_header X-Forwarded-Prefix /avatar;": ""})
    site = replaced(site, {"127.0.0.1:8080": server})
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;\n" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n"
        "events {}\nhttp {\naccess_log off;\n"
        f"proxy_read_timeout {TIMEOUT};\nproxy_send_timeout {TIMEOUT};\n{paths}{site}}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, below: bool, server: str, cert: Path, key: Path) -> list[str]:
    """Write its configuration; the command that runs it."""
    name = "example.com {" if below else "avatar.example.com {"
    here = f"https://localhost:{port} {{\n    bind 127.0.0.1\n    tls {cert} {key}"
    site = replaced(snippets("caddyfile")[below], {name: here, "127.0.0.1:8080": server})
    (folder / "Caddyfile").write_text(f"{{\nadmin off\nauto_https disable_redirects\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it takes connections. Raises RuntimeError with its log when it does not."""
    give_up = time.monotonic() + 15
    while time.monotonic() < give_up and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the proxy does not run:\n{log.read_text()}")
