"""Whatever is thrown at the HTTP API, answers are those that its own description names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.browser import running_server

pytestmark = pytest.mark.e2e
CHECKS = "status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 4
"Of each operation, beside all its boundary values."


def test_hostile_requests_get_documented_answers_and_harm_nobody(tmp_path: Path) -> None:
    """Schemathesis breaks each field in turn; an answer 500 is documented nowhere."""
    tool = shutil.which("st", path=str(Path(sys.executable).parent))
    assert tool is not None
    with running_server(tmp_path, SACCADE_RUNTIME__SIZE="128") as base:
        session = httpx.post(f"{base}/v1/sessions", json={}).json()
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(
            '[[operations]]\ninclude-path-regex = "/sessions/"\n'
            f'parameters = {{ "path.id" = "{session["id"]}" }}\n'
        )
        auth = f"Authorization: Bearer {session['token']}"
        run = subprocess.run(
            [
                tool, "--config-file", str(settings), "run", f"{base}/openapi.json",
                "--checks", CHECKS, "--phases", "coverage,fuzzing",
                "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color",
                "--exclude-path-regex", "adaptation$", "-H", auth,
                "--exclude-operation-id", _id_of(base, "delete", "/v1/sessions/{id}"),
            ],
            capture_output=True, text=True, timeout=240, cwd=tmp_path,
        )  # fmt: skip
        made = re.search(r"(\d+) generated", run.stdout)
        assert made is not None and int(made[1]) > 200, run.stdout[-3000:]
        assert "Failures:" not in run.stdout, run.stdout[run.stdout.find("FAILURES") :][:6000]
        alive = httpx.get(
            f"{base}/v1/sessions/{session['id']}",
            headers={"Authorization": f"Bearer {session['token']}"},
        )
        assert alive.status_code == 200, "the session that was there is still there"
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def _id_of(base: str, method: str, path: str) -> str:
    """The operation's id in the description."""
    told = json.loads(httpx.get(f"{base}/openapi.json").text)
    return str(told["paths"][path][method]["operationId"])
