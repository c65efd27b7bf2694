"""The page at /docs: the OpenAPI description as plain HTML, readable without a network."""

from __future__ import annotations

from html import escape
from typing import Any


def reference_page(openapi: dict[str, Any]) -> str:
    """A self-contained list of all routes."""
    rows = []
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            answers = ", ".join(route.get("responses", {}))
            rows.append(
                f"<tr><td><code>{method.upper()}</code></td><td><code>{escape(path)}</code></td>"
                f"<td>{escape(route.get('summary', ''))}</td><td>{escape(answers)}</td></tr>"
            )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Saccade API</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet"'
        ' href="style.css"></head><body class="reference"><main><h1>Saccade API</h1>'
        '<p>The machine-readable description is at <a href="openapi.json">/openapi.json</a>;'
        " messages of the control socket are described in docs/api.md.</p>"
        "<table><thead><tr><th>Method</th><th>Path</th><th>What</th><th>Answers</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></main></body></html>"
    )
