"""What the paper reports on its own benchmark: to know the scale, not to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SOURCE: Final = (
    "Rows in italics: CogPortrait, table 2, on its own benchmark, with its own recordings, "
    "extractor and thresholds. They show the scale and can not be compared one to one."
)
ANCHORS: Final[Mapping[str, Mapping[str, float]]] = {
    name: dict(zip(("brisque", "id_sim", "eye_lmd", "au_f1", "au_temp"), values, strict=True))
    for name, values in {
        "CogPortrait, true keypoints": (32.84, 0.9362, 0.0112, 0.9303, 0.7830),
        "CogPortrait, inverted": (32.73, 0.9217, 0.0133, 0.9192, 0.7791),
        "CogPortrait, full": (34.20, 0.9129, 0.0145, 0.9017, 0.7397),
        "HunyuanPortrait": (49.80, 0.9019, 0.0192, 0.9145, 0.7475),
        "Sonic": (52.59, 0.9044, 0.0395, 0.5707, 0.5249),
    }.items()
}
"By method, by key of the catalogue. Source: CogPortrait, table 2."
