"""Every metric of the benchmark: its name, which way is better, its unit and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is shown."""

    name: str
    better: Literal["higher", "lower", "nearer 0"]
    about: str
    "One line: what is measured, against what, and where it comes from."
    form: str = ".3f"
    unit: str = ""
    pooled: bool = False
    "Measured once over all cases of a row, not case by case."


METRICS: Final[dict[str, Metric]] = {
    "face_seen": Metric(
        "face seen",
        "higher",
        "share of frames in which the extractor finds the face; below half, no metric of points",
        ".0%",
    ),
    "eye_lmd": Metric(
        "Eye-LMD",
        "lower",
        "distance of the 62 eye-region points from the truth's, in sides of a face crop",
        ".4f",
    ),
    "eye_lmd_aligned": Metric(
        "Eye-LMD, head removed",
        "lower",
        "the same after the best similarity transform of the face",
        ".4f",
    ),
    "au_f1": Metric("AU-F1", "higher", "do the same action units fire (CogPortrait, eq. 6)"),
    "au_temp": Metric(
        "AU-Temp",
        "higher",
        "do the category's units move alike, warped in time (CogPortrait, eq. 7)",
    ),
    "gaze_error": Metric(
        "gaze error", "lower", "angle between the gazes, eyes in the head", ".1f", "°"
    ),
    "blink_f1": Metric("blink F1", "higher", "blinks found where the truth blinks"),
    "blink_precision": Metric(
        "blink precision", "higher", "share of blinks that the truth has too"
    ),
    "blink_recall": Metric("blink recall", "higher", "share of the truth's blinks that are made"),
    "blink_timing": Metric(
        "blink timing", "lower", "median distance in time of matched blinks", ".0f", "ms"
    ),
    "pose_error": Metric(
        "head pose error",
        "lower",
        "angle of the rotation between the heads, against the first frame",
        ".1f",
        "°",
    ),
    "id_sim": Metric("ID-Sim", "higher", "cosine of face embeddings with the portrait"),
    "lpips": Metric("LPIPS", "lower", "learned perceptual distance from the truth"),
    "ssim": Metric("SSIM", "higher", "structural similarity with the truth"),
    "psnr": Metric("PSNR", "higher", "peak signal to noise against the truth", ".1f", "dB"),
    "psnr_eyes": Metric(
        "PSNR, eyes", "higher", "the same in the box of eyes and brows", ".1f", "dB"
    ),
    "brisque": Metric("BRISQUE", "lower", "blind picture quality", ".1f"),
    "flow_jitter": Metric(
        "flow jitter",
        "lower",
        "change of optical flow from frame to frame (FlowPortrait, eq. 15-16)",
    ),
    "flow_motion": Metric(
        "motion, less the truth's",
        "nearer 0",
        "mean optical flow of the face: what does not move has no jitter either",
        "+.1f",
        "‰ of the side a frame",
    ),
    "point_jitter": Metric("point jitter", "lower", "acceleration of landmarks", ".4f"),
    "sync": Metric(
        "mouth/audio r",
        "higher",
        "correlation of lip opening with the mouth heard in the sound, at the best lag",
        ".2f",
    ),
    "sync_lag": Metric(
        "mouth/audio lag",
        "nearer 0",
        "where that correlation peaks; positive: lips late",
        "+.0f",
        "ms",
    ),
    "sync_c": Metric("Sync-C", "higher", "SyncNet confidence", ".2f"),
    "sync_d": Metric("Sync-D", "lower", "SyncNet distance", ".2f"),
    "fid": Metric(
        "FID", "lower", "Fréchet distance of frame features from the truth's", ".2f", pooled=True
    ),
    "fvd": Metric(
        "FVD", "lower", "Fréchet distance of clip features from the truth's", ".1f", pooled=True
    ),
}
"By the key used in files. A metric that could not be measured is missing, never zero."
