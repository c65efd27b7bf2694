"""Sizes of the generator, and what they cost. No torch: the run time picks by them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from core import LATENT_FRAMES, InvalidInput
from engines.video.clip import TOKENS_PER_FRAME
from engines.video.guidance import FRAME
from engines.video.regions import REGIONS
from engines.video.schedule import WINDOW
from engines.video.text import LENGTH

NEAR: Final = 2 * TOKENS_PER_FRAME * LATENT_FRAMES
"Audio tokens that a latent frame hears: its own 160 ms and those before."


@dataclass(frozen=True, slots=True)
class DitConfig:
    """Sizes of the network."""

    channels: int = 32
    "Of a latent."
    width: int = 384
    blocks: int = 12
    heads: int = 6
    feed: int = 1152
    text: int = 64
    context: int = 4
    "Latent frames before a window that it sees."
    maps: int = 0
    """Of a student, 2: maps of guidance that it is told beside each latent, so that one pass gives
    what its teacher needs two for."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads) or self.context % WINDOW or self.context < 0:
            raise ValueError(f"sizes that do not fit: {self}")

    def as_dict(self) -> dict[str, int]:
        """For the header of a weights file; ``DitConfig(**it)`` is the same again."""
        return asdict(self)


PRESETS: Final = {
    "tiny": DitConfig(channels=8, width=64, blocks=2, heads=4, feed=128, text=32),
    "small": DitConfig(width=256, blocks=10, heads=4, feed=768, context=2),
    "mini": DitConfig(),
}


def preset(name: str) -> DitConfig:
    """Sizes by name.

    Raises:
        InvalidInput: There is none of that name.
    """
    if name not in PRESETS:
        raise InvalidInput(f"There is no size {name[:40]!r}. Known sizes: {', '.join(PRESETS)}.")
    return PRESETS[name]


def flops(config: DitConfig, context: int | None = None, *, cached: bool = True) -> dict[str, int]:
    """Floating-point operations of one step of one window, two for a multiplication and addition.

    Left out are what is made once a window (`DiT.tell`), norms and softmax.

    Args:
        config: The sizes.
        context: Latent frames that are remembered; None is as many as can be.
        cached: Whether keys of reference and context are kept; else they are made again.

    Returns:
        By part, and their ``total``.
    """
    past = FRAME * (config.context if context is None else context)
    own, d = WINDOW * FRAME, config.width
    # Queries, and how many keys each of them sees: the context's windows see at most as many.
    rows = [(own, FRAME + past + own)]
    if not cached:
        rows += [(FRAME, FRAME)] + [
            (own, FRAME + k * own + own) for k in range(past // own)
        ]  # fmt: skip
    tokens = sum(n for n, _ in rows)
    told = tokens if cached else tokens - FRAME
    half = max(config.heads // 2, 1) * (d // config.heads)
    parts = {
        "attention": sum(4 * n * keys * d for n, keys in rows),
        "projections": 8 * tokens * d * d,
        "text": 4 * told * half * (d + LENGTH),
        "audio": 4 * told * d * (d + NEAR) // len(REGIONS),
        "feed-forward": 4 * tokens * d * config.feed,
    }
    parts = {name: config.blocks * count for name, count in parts.items()}
    parts["ends"] = 4 * own * d * config.channels
    return parts | {"total": sum(parts.values())}
