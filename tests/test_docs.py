"""Tests that documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)`|`(test_\w+)(…?)`")
"A file of tests, or a test of the file named last; with … its name, or those of several, go on."


def test_tests_that_documents_name_exist() -> None:
    checked = 0
    for document in sorted((ROOT / "docs").glob("*.md")):
        for line in document.read_text().splitlines():
            names, folder = list[str](), ROOT / "tests"
            for file, name, more in NAMED.findall(line):
                if file:
                    path = next(
                        (p for p in (ROOT / "tests" / file, folder / file) if p.is_file()), None
                    )
                    assert path is not None, f"{document.name}: there is no {file}"
                    folder = path.parent
                    names = re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.M)
                    continue
                found = [n for n in names if n == name or (more and n.startswith(name))]
                assert found, f"{document.name}: there is no {name}{more}"
                checked += 1
    assert checked > 40
