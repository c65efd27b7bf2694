"""What the runtime can be told, with defaults that suit a laptop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engines.backends.providers import Backend


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """Limits and timings of the live loop. Times are seconds unless the name says ms."""

    size: int = 512
    "Side of the rendered square, pixels."
    max_sessions: int = 2
    "Sessions at once, if the machine carries them; 0 for as many as it was measured to carry."
    capacity_share: float = 0.7
    "Share of the measured machine that sessions may take; the rest is for peaks."
    max_waiting: int = 32
    "Refused callers who may keep their turn for the next place."
    renderer: Literal["auto", "generator", "puppet"] = "auto"
    "What makes the pictures; auto takes the generator where its networks are."
    generator_weights: str = ""
    "Folder of the generator's weights and graphs; empty for those that come with Saccade."
    generator_steps: int = 2
    "Steps of the generator's sampler a window: more are truer, fewer faster."
    generator_backend: Backend = "auto"
    "What computes them; auto measures which is fast here."
    generator_threads: int = 0
    "Threads that one window is computed on; 0 for all cores, up to four."
    generator_batch: int = 1
    """Windows of different sessions that are computed together at most; GPUs gain from more. All
    sizes up to it are compiled at the start."""
    adapt_portraits: Literal["never", "asked", "auto", "always"] = "auto"
    """Whether the generator learns the features of single portraits: when it is asked to, or after
    each upload. auto does the latter on machines with eight cores or more. It needs torch."""
    adapt_seconds: float = 180.0
    "Time for learning one portrait, in the background, on one core."
    lead_ms: int = 80
    "How far ahead of its presentation a frame is made: two frames ride out scheduling noise."
    hold_after_ms: int = 40
    "A frame this late keeps its audio but holds the last picture, so that audio never waits."
    reanchor_after_ms: int = 240
    "Later than this, the session's clock is moved instead: catching up would be a burst."
    idle_timeout: float = 60.0
    "A session without viewers and commands for this long ends. 0 turns it off."
    session_ttl: float = 0.0
    "Longest life of a session. 0 means no limit."
    warn_before: float = 10.0
    "`expiring` is sent this long before a limit ends a session."
    max_speech: float = 120.0
    "Speech a session may have queued, seconds of audio."
    max_utterances: int = 16
    "`say` commands a session may have waiting."
    max_recorded: float = 300.0
    "Sound of audio files a session may have waiting, seconds; so also the longest one."
    speech_start_ms: int = 40
    """Streamed speech starts when this much has arrived, so that jitter does not tear words. What
    the mouth looks ahead counts as part of it."""
    mouth_lookahead_ms: Literal[0, 40, 80] = 40
    """How much of the following sound the mouth hears before it moves. Sound and picture wait as
    long; more makes closures surer."""
    live_backlog_ms: int = 240
    "A live microphone may lag this much; older audio is dropped in favour of the newest."
    render_threads: int = 2
    "Threads that render pictures. Kernels release the GIL."

    def __post_init__(self) -> None:
        if self.max_sessions < 0 or self.max_waiting < 0:
            raise ValueError("max_sessions and max_waiting: expected 0 or more")
        if self.capacity_share <= 0:
            raise ValueError(f"capacity_share: expected more than 0, got {self.capacity_share}")


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """Who plans what the eyes mean. The embedded planner always plays on when a model does not."""

    kind: Literal["embedded", "endpoint", "local"] = "embedded"
    "embedded needs no model; endpoint is any OpenAI-compatible API; local runs transformers here."
    url: str = ""
    "The endpoint's base, such as http://localhost:11434/v1."
    model: str = ""
    "The endpoint's model; for local, a folder or name that transformers can load."
    api_key: str = field(default="", repr=False)
    image: bool = False
    "Send the portrait along, for models that see. It leaves this machine if the endpoint does."
    analyse: bool = False
    "Have the model analyse what is said (language, emotion, intent) before it plans."
    reflect: bool = False
    "Have the model look back at what was played and plan better."
    timeout: float = 20.0
    "Seconds one question may take."
    budget: float = 45.0
    "Seconds all questions for one chunk may take together, retries included."
    revisions: int = 2
    "Times the critic may send a chunk back."
    concurrency: int = 2
    "Chunks written at once, in all sessions together."
