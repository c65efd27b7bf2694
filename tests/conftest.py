"""Shared fixtures: a real enrolled portrait, made once."""

from __future__ import annotations

from pathlib import Path

import openpeople
import pytest

from core import Portrait
from engines.enrol import enrol

PEOPLE = Path(openpeople.__file__).parent / "data" / "curated"


def studio_portrait(person: str = "P001") -> bytes:
    """The JPEG of one of the ten synthetic people, P001 … P010."""
    return (PEOPLE / person / "assets" / "studio_portrait.jpg").read_bytes()


@pytest.fixture(scope="session")
def portrait() -> Portrait:
    """P001, enrolled."""
    return enrol(studio_portrait(), "P001")
