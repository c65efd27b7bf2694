"""What each judge is told: one aspect alone, five marks, and how to answer.

The protocol is MAS-MA: one judge for each aspect, asked without the others, and the mean of the
three marks with equal weight. The pairwise one (MA-Comp) asks the same three judges which of two
videos is better. Source: FlowPortrait, section 2.2, tables 6-11; the aspects, what belongs to each
and the meaning of the marks are the paper's, the words are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

VERSION: Final = "1"
"Counted up when a text changes: answers given to another text are not used again."
LOWEST: Final = 1
HIGHEST: Final = 5


@dataclass(frozen=True, slots=True)
class Rubric:
    """What one judge looks at and what its marks mean."""

    key: str
    "As in files."
    name: str
    "As in tables."
    trade: str
    "What the judge knows about."
    ignore: str
    questions: tuple[str, ...]
    marks: tuple[str, ...]
    "For 5, 4, 3, 2 and 1."
    needs_sound: bool = False

    def __post_init__(self) -> None:
        if len(self.marks) != HIGHEST - LOWEST + 1:
            raise ValueError(f"{self.key}: expected five marks, got {len(self.marks)}")


LIP_SYNC: Final = Rubric(
    "lip_sync",
    "lip-sync",
    "You know phonetics: which lip, jaw and tongue shape belongs to which sound of speech, and "
    "how closely lips and voice go together in recordings of real people.",
    "what the eyes, the brows and the head do, whether the feeling fits, the background",
    (
        "Shapes: do the lips close for p, b and m, touch the teeth for f and v, round for o and u, "
        "and does the jaw drop for open vowels?",
        "Timing: does the mouth move when the voice does, neither before nor after it, and rest "
        "when the voice rests?",
        "Movement: do lips and jaw glide as flesh does, or do they flap, snap, smear, tear or "
        "lose the teeth?",
    ),
    (
        "Could be a recording: every sound has its shape, nothing is early or late, the mouth "
        "area is clean.",
        "One has to search for faults: a few shapes are not quite right, or there is a lag that "
        "hardly shows; movement is a little too tidy.",
        "Roughly right: shapes are simplified, as in a cartoon, or all of it is somewhat early "
        "or late, or the mouth area is a little soft or smeared.",
        "Plainly wrong: many shapes belong to other sounds, or the timing is so far off that it "
        "bothers, or the mouth flaps, jerks or warps.",
        "Unrelated to the voice: the mouth rests while there is speech, moves at random, or comes "
        "apart.",
    ),
    needs_sound=True,
)
EXPRESSIVENESS: Final = Rubric(
    "expressiveness",
    "expressiveness",
    "You know faces: the action units of the Facial Action Coding System, how feeling shows in "
    "brows, lids, cheeks and gaze, and what tells an acted or a made face from a living one.",
    "whether the lips fit the sounds, how steady the picture is, the background",
    (
        "Fit: does the face feel what the voice (or, where there is none, the situation) calls "
        "for, as strongly, and where it puts weight?",
        "Life: are there the small things, a brow that lifts, a lid that tightens, a cheek that "
        "rises, a glance, or is the skin like plastic?",
        "Course: do expressions build up, hold and fade with the speech, or do they switch, lag, "
        "or stay whatever happens?",
    ),
    (
        "A living person: the feeling fits at every moment and small signs of it are all over "
        "the face.",
        "Fits well and is believable: now and then a little off, or a little played.",
        "Not wrong, but weak, late or vague; something about the face is faintly artificial.",
        "Does not fit, or the same blank or odd look throughout; the face is plainly artificial.",
        "No feeling at all or an absurd one: a mask, a doll.",
    ),
)
MOTION: Final = Rubric(
    "motion",
    "motion and background",
    "You know moving pictures: how heads and shoulders of living people move, and the traces that "
    "synthesis and compositing leave behind.",
    "whether the lips fit the sounds, whether the feeling fits",
    (
        "Head: does it move smoothly and for a reason, or is it stiff, trembling, floating or "
        "mechanical?",
        "Small motion: are there blinks at a human pace and of human speed, slight tilts, breath, "
        "shifts of weight?",
        "Continuity: does motion go on in one piece, without freezes, jumps or loops?",
        "Background: does it stand still, and are hair and shoulders cut cleanly against it, or "
        "does it swim, flicker, smear or bend along?",
    ),
    (
        "Nothing gives it away: smooth head motion with a purpose, plenty of small motion, a "
        "background that is solid in every frame.",
        "Smooth and steady, but plain or repeating; blinks are human; the background has small "
        "faults that do not catch the eye.",
        "Somewhat stiff, jerky or weightless, or still for too long, or blinking at an odd pace; "
        "the background bends or blurs visibly.",
        "Mechanical or trembling, with hardly any small motion; the background is restless or "
        "visibly distorted.",
        "A frozen head and face, or a picture that falls apart, figure and background alike.",
    ),
)
RUBRICS: Final[tuple[Rubric, ...]] = (LIP_SYNC, EXPRESSIVENESS, MOTION)
"In the order of tables."
RUBRIC: Final[dict[str, Rubric]] = {rubric.key: rubric for rubric in RUBRICS}

_ANSWER: Final = (
    "Think first, as long as you like, between <think> and </think>: name what you see and when. "
    "After </think> write one JSON object and nothing else"
)


def scoring(rubric: Rubric) -> str:
    """What a judge is told before it sees one video."""
    marks = range(HIGHEST, LOWEST - 1, -1)
    return "\n".join(
        (
            *_head(rubric, "You will see one short video of a person, head and shoulders."),
            "",
            "Give one of these marks. Use the whole range: most videos do not deserve the top.",
            *(f"{mark}: {text}" for mark, text in zip(marks, rubric.marks, strict=True)),
            "",
            f'{_ANSWER}, for instance {{"score": 2}}. The score is a whole number from {LOWEST} '
            f"to {HIGHEST}.",
        )
    )


def comparing(rubric: Rubric) -> str:
    """What a judge is told before it sees two videos."""
    return "\n".join(
        (
            *_head(rubric, "You will see two short videos of the same person doing the same."),
            "",
            "Say which one is better in this respect. You have to choose. Which one is shown "
            "first says nothing about them.",
            "",
            f'{_ANSWER}: {{"better": "first"}} or {{"better": "second"}}.',
        )
    )


def _head(rubric: Rubric, what: str) -> Sequence[str]:
    return (
        f"{rubric.trade} {what} It may be a recording or may have been made by a program; you are "
        f"not told which. Judge its {rubric.name} and nothing else. Leave out of account: "
        f"{rubric.ignore}.",
        "",
        "Ask yourself:",
        *(f"- {question}" for question in rubric.questions),
    )
