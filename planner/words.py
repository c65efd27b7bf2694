"""The words the instruction grammar knows, as data: another language is another `Language`.

Keys are phrases in lower case, words apart by one space; the longest phrase wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Language:
    """Word lists of one language. All values belong to the grammar, not to the language."""

    links: Mapping[str, str]
    "How clauses follow each other: `then`, `and`, `while` or `list` (a comma)."
    verbs: Mapping[str, str]
    parts: Mapping[str, str]
    ways: Mapping[str, str]
    "Directions; `left` and `right` are also sides of the face, the portrait's own."
    sides: Mapping[str, str]
    amounts: Mapping[str, float]
    "Factors on the usual amount."
    speeds: Mapping[str, float]
    "Factors on the usual duration of the movement."
    times: Mapping[str, int]
    holds: Mapping[str, float]
    "Seconds that are not given as a number."
    numbers: Mapping[str, float]
    units: Mapping[str, str]
    "`degrees`, `percent`, `times`, or what a number of seconds is multiplied with, as text."
    stretches: Mapping[str, str]
    "What a number of seconds means: `for` (a duration) or `after` (a delay)."
    negations: frozenset[str]
    stops: frozenset[str]
    pronouns: frozenset[str]
    fillers: frozenset[str]
    lexicon: Mapping[str, tuple[str, object]] = field(init=False)
    "Phrase to (kind, value), made of all the lists."

    def __post_init__(self) -> None:
        lexicon: dict[str, tuple[str, object]] = {}
        for kind in (
            "links", "verbs", "parts", "ways", "sides", "amounts", "speeds", "times", "holds",
            "numbers", "units", "stretches",
        ):  # fmt: skip
            for phrase, value in getattr(self, kind).items():
                lexicon[phrase] = (kind, value)
        for kind in ("negations", "stops", "pronouns", "fillers"):
            for phrase in getattr(self, kind):
                lexicon.setdefault(phrase, (kind, None))
        object.__setattr__(self, "lexicon", lexicon)

    @property
    def longest(self) -> int:
        """Words in the longest phrase."""
        return max(phrase.count(" ") + 1 for phrase in self.lexicon)


def _table(**groups: str) -> dict[str, str]:
    """``name="phrase / phrase"`` turned round: phrase to name."""
    return {
        phrase.strip(): name.rstrip("_")
        for name, line in groups.items()
        for phrase in line.split("/")
    }


ENGLISH: Final = Language(
    links=_table(
        then="then / and then / after that / afterwards / next / finally / before / followed by",
        while_="while / whilst / as you / meanwhile / at the same time / as / plus",
    )
    | {"and": "and", "&": "and", "+": "and"}
    | dict.fromkeys((",", ";", ".", "!", "?", ":"), "list"),
    verbs=_table(
        look="look / looks / looking / gaze / gazing / stare / stares / staring / look over",
        glance="glance / glancing / peek / peeking",
        turn="turn / turning / turned / rotate / rotating / swivel / move / moving / shift / point",
        tilt="tilt / tilting / tilted / lean / leaning / cock / incline",
        raise_="raise / raising / raised / lift / lifting / lifted / arch / arching / up with",
        lower="lower / lowering / lowered / drop / dropping / dropped / bow / bowing / sink / hang",
        close="close / closing / closed / shut / shutting",
        half_close="half close / half closed / half shut",
        open="open / opening / opened / reopen",
        widen="widen / widening / widened / open wide / wide / wide open",
        squint="squint / squinting / squeeze / narrow / narrowed / narrowing",
        frown="frown / frowning / scowl / furrow / furrowing / knit / wrinkle",
        blink="blink / blinks / blinking",
        wink="wink / winks / winking",
        nod="nod / nods / nodding / say yes / agree",
        shake="shake / shaking / say no / disagree",
        smile="smile / smiles / smiling / grin",
        roll="roll",
        rest="relax / rest / neutral / reset / at ease / look normal / go back to normal",
        wait="wait / pause",
        straighten="straighten / straighten up / hold straight",
        contact="keep eye contact / make eye contact / hold my gaze / eye contact / face me / "
        "look me in the eye / look me in the eyes / looking me in the eyes",
        away="look away / looking away / avoid eye contact / avoid my gaze / avert",
    ),
    parts=_table(
        eyes="eyes / eye / gaze",
        lids="lids / lid / eyelids / eyelid",
        brows="eyebrows / eyebrow / brows / brow / forehead",
        inner_brows="inner eyebrows / inner brows / inner brow",
        outer_brows="outer eyebrows / outer brows / outer brow",
        head="head / face / chin",
    ),
    ways=_table(
        left="left / leftwards / leftward / sideways left",
        right="right / rightwards / rightward",
        up="up / upwards / upward / ceiling / the ceiling / sky",
        down="down / downwards / downward / floor / the floor / ground",
        viewer="at me / at the camera / at the viewer / at us / to me / into the camera / "
        "straight ahead / ahead / forward / forwards / straight / centre / center / "
        "at the screen / at you / in the eyes",
        away="away / aside / sideways / elsewhere / to the side",
        back="back / backwards / backward",
        around="around",
    ),
    sides={"both": "both", "one": "one", "a single": "one"},
    amounts={
        "slightly": 0.45, "a little": 0.5, "a little bit": 0.45, "a bit": 0.5, "little": 0.5,
        "barely": 0.25, "subtly": 0.35, "gently": 0.6, "softly": 0.6, "somewhat": 0.7,
        "halfway": 0.5, "half way": 0.5, "half": 0.5, "moderately": 0.8, "fully": 1.2,
        "completely": 1.3, "very": 1.3, "strongly": 1.4, "a lot": 1.5, "far": 1.6, "wide": 1.3,
        "all the way": 1.8, "hard": 1.4, "extremely": 1.6, "deeply": 1.5, "tightly": 1.3,
    },
    speeds={
        "slowly": 2.2, "slow": 2.0, "smoothly": 1.6, "gradually": 2.5, "quickly": 0.6,
        "fast": 0.55, "quick": 0.6, "suddenly": 0.45, "abruptly": 0.45, "rapidly": 0.5,
    },
    times={
        "once": 1, "twice": 2, "thrice": 3, "a couple of times": 2, "a few times": 3,
        "several times": 4, "repeatedly": 4,
    },
    holds={
        "briefly": 0.8, "for a moment": 1.2, "for a second": 1.0, "for half a second": 0.5,
        "for a while": 4.0, "a moment": 1.0, "a second": 1.0, "half a second": 0.5,
    },
    numbers={
        "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
        "nine": 9, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30,
    },
    units=_table(
        degrees="degrees / degree / deg / °",
        percent="percent / %",
        times="times / time / x",
        **{"1": "seconds / second / sec / secs / s", "0.001": "ms / milliseconds"},
        **{"60": "minutes / minute / min"},
    ),
    stretches=_table(for_="for / during", after="after / in / later / wait"),
    negations=frozenset({"don't", "dont", "do not", "never", "not", "no", "without", "doesn't"}),
    stops=frozenset({"stop", "stop with", "quit", "no longer"}),
    pronouns=frozenset({"them", "it", "that"}),
    fillers=frozenset(
        "please your you the a an to towards toward my his her their its at of on be keep keeping "
        "hold holding stay staying so just now with also again first side hand direction "
        "should i want would like can could will have let's let way do make i'd own by".split()
    )
    | {"to the", "to your", "your own", "i would like you to", "can you", "could you"},
)  # fmt: skip
"English."
