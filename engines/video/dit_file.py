"""The transformer's file."""

from __future__ import annotations

from pathlib import Path

from core import InvalidInput
from engines.video.codec import Codec
from engines.video.coding import codec_id
from engines.video.dit import DiT
from engines.video.dit_config import DitConfig
from engines.video.weights import read_weights, save_weights


def save_dit(dit: DiT, codec: str, path: Path) -> None:
    """Write a transformer; ``codec`` is the `coding.codec_id` of the codec it goes with."""
    save_weights(dit, {"kind": "dit", "codec": codec, **dit.config.as_dict()}, path)


def load_dit_of(codec: Codec, path: Path) -> DiT:
    """The transformer that was trained on this codec's latents.

    Raises:
        InvalidInput: There is none in this file, or it was trained on another codec's.
        Unavailable: A part of it is missing.
    """
    dit, made_for = load_dit(path)
    if made_for != codec_id(codec):
        raise InvalidInput(f"{path} was trained on latents of another codec.")
    return dit


def load_dit(path: Path) -> tuple[DiT, str]:
    """The transformer in evaluation mode, and the `coding.codec_id` of its codec.

    Raises:
        InvalidInput: There is none in this file.
        Unavailable: A part of it is missing.
    """
    config, tensors = read_weights(path)
    if config.pop("kind", "") != "dit":
        raise InvalidInput(f"{path} holds the weights of something else than a transformer.")
    codec = str(config.pop("codec"))
    try:
        dit = DiT(DitConfig(**config))
        dit.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{path} is of another version: {error}.") from error
    return dit.eval(), codec
