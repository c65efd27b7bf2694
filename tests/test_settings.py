"""Settings: one object, from file and environment, documented, strict."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.settings import PlannerSettings, RuntimeSettings
from server import Settings, VoiceSettings
from stream.settings import StreamSettings

DOCS = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()


def documented(group: str) -> dict[str, str]:
    """Setting → default, of one section of the docs."""
    section = re.split(r"^## ", DOCS, flags=re.M)
    text = next(s for s in section if s.startswith(group)) if group else section[0]
    return dict(re.findall(r"^\| `(\w+)` \|(?: `?([^`|]*?)`?)? \|", text, flags=re.M))


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("`[voice]`", VoiceSettings),
        ("`[planner]`", PlannerSettings),
        ("`[runtime]`", RuntimeSettings),
        ("`[stream]`", StreamSettings),
    ],
)
def test_every_setting_is_documented_with_its_default(group: str, kind: type) -> None:
    told = documented(group)
    fields = {f.name: f.default for f in dataclasses.fields(kind)}
    assert told.keys() == fields.keys()
    for name, default in fields.items():
        shown = "[]" if default == () else str(default).removesuffix(".0")
        shown = shown.lower() if isinstance(default, bool) else shown
        assert told[name].strip() == shown, name


def test_top_level_settings_are_documented() -> None:
    fields = set(Settings.model_fields) - {"voice", "planner", "runtime", "stream"}
    assert documented("").keys() == fields


def test_environment_wins_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "saccade.toml"
    file.write_text(
        'port = 9000\n[runtime]\nmax_sessions = 7\nsize = 256\n[voice]\nkind = "none"\n'
    )
    monkeypatch.setenv("SACCADE_CONFIG", str(file))
    monkeypatch.setenv("SACCADE_RUNTIME__MAX_SESSIONS", "3")
    settings = Settings()
    assert (settings.port, settings.voice.kind) == (9000, "none")
    assert (settings.runtime.max_sessions, settings.runtime.size) == (3, 256)
    assert Settings(port=1).port == 1


def test_lists_can_be_given_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_CONFIG", "")
    monkeypatch.setenv("SACCADE_STREAM__ADVERTISED_HOSTS", "203.0.113.5, avatar.example.com")
    monkeypatch.setenv("SACCADE_STREAM__ICE_SERVERS", "stun:a.example,turn:b.example ann sesame")
    stream = Settings().stream
    assert stream.advertised_hosts == ("203.0.113.5", "avatar.example.com")
    assert stream.ice_servers == ("stun:a.example", "turn:b.example ann sesame")


@pytest.mark.parametrize("line", ["prot = 9000", "[runtime]\nsizes = 4", 'port = "eighty"'])
def test_unknown_names_and_wrong_types_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    file = tmp_path / "saccade.toml"
    file.write_text(line)
    monkeypatch.setenv("SACCADE_CONFIG", str(file))
    with pytest.raises(ValidationError):
        Settings()


def test_the_key_is_never_shown() -> None:
    assert "sesame" not in repr(Settings(voice=VoiceSettings(api_key="sesame")))
