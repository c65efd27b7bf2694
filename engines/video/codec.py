"""The codec: four frames of a region to one latent frame, and back with the portrait's own picture.

The encoder sees frames alone, four at a time, so a latent says what is to be seen, whoever looks
at it and whatever came before. The decoder also has the *reference*: the same region of the
portrait, in the same pose with another expression, and with its latent: so what has moved is
plain from the first step of training. It bends the reference (coarse flow fields, one for skin
and one for what is under it), paints what bending can not give and blends them by masks. Whatever
eyes and mouth do reaches it through the latent alone: it sees no keypoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from core import LATENT_FRAMES, U8, InvalidInput
from engines.video.blocks import Pyramid, Residual, each
from engines.video.decoder import Decoder, ReferenceFeatures
from engines.video.regions import REGIONS, SIDE
from engines.video.weights import read_weights, save_weights

GRID: Final = SIDE // 16
"Latent positions a side: 6."
KIND: Final = "codec"


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Sizes of the codec."""

    widths: tuple[int, int, int, int] = (32, 64, 128, 160)
    "Channels at 48, 24, 12 and 6 pixels a side."
    encoder_blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    reference_blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    decoder_blocks: tuple[int, int, int, int] = (2, 1, 2, 2)
    "In the same order; those at 48 remember nothing."
    latent: int = 32
    "Channels of a latent."
    noise: float = 0.2
    """Latents reach the decoder in training with noise of up to this deviation (they have
    deviation 1): a generated latent is never exact, and near latents must look alike (free)."""


PRESETS: Final[Mapping[str, CodecConfig]] = {
    "tiny": CodecConfig(
        (8, 8, 16, 16), (0, 1, 0, 1), (0, 0, 1, 0), (1, 1, 1, 1), latent=32, noise=0.1
    ),
    "mini": CodecConfig(),
}


class Encoder(nn.Module):
    """Four frames → one latent frame, on its own."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.pyramid = Pyramid(config.widths, config.encoder_blocks)
        self.gather = nn.Conv2d(LATENT_FRAMES * width, width, 1)
        self.mix = Residual(width, norm=True)
        self.out = nn.Conv2d(width, config.latent, 1)
        # Statistics of the latents, so that they leave with mean 0 and deviation 1 each channel.
        self.standard = nn.BatchNorm2d(config.latent, eps=1e-4, momentum=0.02, affine=False)

    def raw(self, frames: Tensor, region: Tensor) -> Tensor:
        """``[B, T, 3, 96, 96]`` → ``[B * T / 4, latent, 6, 6]``, of any mean and deviation.

        A single frame counts as four of the same.
        """
        count = frames.shape[1]
        x = self.pyramid(frames.flatten(0, 1), region.repeat_interleave(count))[-1]
        x = x if count > 1 else each(x, LATENT_FRAMES)
        x = self.gather(x.reshape(-1, LATENT_FRAMES * x.shape[1], GRID, GRID))
        return self.out(self.mix(x)).float()  # type: ignore[no-any-return]

    def forward(self, frames: Tensor, reference: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
        """Frames and their reference, standing still, with the same statistics.

        Args:
            frames: ``[B, T, 3, 96, 96]``.
            reference: ``[B, 3, 96, 96]``.
            region: int64 ``[B]``.

        Returns:
            float32 ``[B, T / 4, latent, 6, 6]`` and ``[B, latent, 6, 6]``, normalised.
        """
        both = torch.cat((self.raw(frames, region), self.raw(reference[:, None], region)))
        latents, still = self.standard(both).split((len(both) - len(frames), len(frames)))
        return latents.reshape(len(frames), -1, *latents.shape[1:]), still

    @torch.no_grad()
    def fold(self) -> None:
        """Move the latents' mean and deviation into the last layer; what comes out stays the same.

        In front of a norm nothing holds that layer's scale: in training its variance grows beyond
        what half precision, that weights are kept in, can hold.
        """
        mean, variance = self.standard.running_mean, self.standard.running_var
        assert mean is not None
        assert variance is not None
        gain = (variance + self.standard.eps).rsqrt()
        self.out.weight.mul_(gain[:, None, None, None])
        if self.out.bias is not None:
            self.out.bias.sub_(mean).mul_(gain)
        mean.zero_()
        variance.fill_(1 - self.standard.eps)

    def still(self, picture: Tensor, region: Tensor) -> Tensor:
        """``[B, 3, 96, 96]`` → float32 ``[B, latent, 6, 6]``, normalised: it does not move."""
        return self.standard(self.raw(picture[:, None], region))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class Through:
    """Frames that went through the codec, and what was between."""

    frames: Tensor
    "``[B, T, 3, 96, 96]``."
    latents: Tensor
    "float32 ``[B, T / 4, latent, 6, 6]``, without noise."
    still: Tensor
    "float32 ``[B, latent, 6, 6]``: of the references."
    flow: Tensor
    "float32 ``[B * T, 2, 2, 96, 96]``: how each layer was bent."


class Codec(nn.Module):
    """Encoder and decoder of all three regions."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(
            config.widths, config.decoder_blocks, config.reference_blocks, config.latent
        )

    def encode(self, frames: Tensor, region: Tensor) -> Tensor:
        """Frames → latents, about N(0, 1).

        Args:
            frames: ``[B, T, 3, 96, 96]`` in [-1, 1]; T a multiple of 4.
            region: int64 ``[B]``: which of `REGIONS`.

        Returns:
            float32 ``[B, T / 4, latent, 6, 6]``. A latent depends on its own four frames alone
            (in training mode also on the batch, through its statistics).
        """
        if frames.shape[1] % LATENT_FRAMES or tuple(frames.shape[2:]) != (3, SIDE, SIDE):
            raise ValueError(f"expected [B, 4 L, 3, {SIDE}, {SIDE}], got {tuple(frames.shape)}")
        latents: Tensor = self.encoder.standard(self.encoder.raw(frames, region))
        return latents.reshape(len(frames), -1, *latents.shape[1:])

    def reference(self, picture: Tensor, region: Tensor) -> ReferenceFeatures:
        """``[B, 3, 96, 96]`` in [-1, 1] and int64 ``[B]`` → what the decoder needs of them."""
        return self.decoder.reference(picture, self.encoder.still(picture, region), region)

    def decode(self, latents: Tensor, reference: Tensor, region: Tensor) -> Tensor:
        """A whole clip: latents ``[B, L, latent, 6, 6]`` → frames ``[B, 4 L, 3, 96, 96]``.

        Args:
            latents: As `encode` gives them.
            reference: ``[B, 3, 96, 96]`` in [-1, 1]: the same pose, another expression.
            region: int64 ``[B]``.
        """
        features = self.reference(reference, region)
        return self.decoder(latents, features, self.decoder.cache(len(latents)))[0]  # type: ignore[no-any-return]

    def forward(self, frames: Tensor, reference: Tensor, region: Tensor) -> Through:
        """Through both, with noise between them. For training."""
        latents, still = self.encoder(frames, reference, region)
        deviation = self.config.noise * torch.rand(len(latents), 1, 1, 1, 1).to(latents)
        seen = latents + deviation * torch.randn_like(latents)
        features = self.decoder.reference(reference, still, region)
        cache = self.decoder.cache(len(latents))
        made, flow, _ = self.decoder.bend_and_paint(seen, features, cache)
        return Through(made, latents, still, flow)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Measure the latents' mean and deviation anew, over ``(frames, region)`` batches.

        Both then go into the layer before (`Encoder.fold`).
        """
        standard = self.encoder.standard
        standard.reset_running_stats()
        momentum, standard.momentum = standard.momentum, None  # None: a plain average
        standard.train()
        for frames, region in batches:
            self.encode(frames, region)
        standard.train(self.training)
        standard.momentum = momentum
        self.encoder.fold()


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 ``[…, 96, 96, 3]`` → float32 ``[…, 3, 96, 96]`` in [-1, 1]."""
    return pixels.float().movedim(-1, -3) / 127.5 - 1.0


def to_bytes(frames: Tensor) -> U8:
    """``[…, 3, 96, 96]`` about [-1, 1] → uint8 ``[…, 96, 96, 3]``."""
    pixels = (frames.detach().float().clamp(-1, 1) * 127.5 + 128.0).to(torch.uint8)
    out: U8 = pixels.movedim(-3, -1).cpu().numpy()
    return out


def decoder_flops(config: CodecConfig) -> float:
    """Floating-point operations (two a multiply-add) that decoding one frame's regions takes.

    Convolutions alone; the reference's own features are made once and not counted.
    """
    with torch.device("meta"):
        decoder = Codec(config).decoder
        count = len(REGIONS)
        picture = torch.zeros(count, 3, SIDE, SIDE)
        latents = torch.zeros(count, 1, config.latent, GRID, GRID)
        features = decoder.reference(picture, latents[:, 0], torch.arange(count))
        with FlopCounterMode(display=False) as counter:
            decoder(latents, features, decoder.cache(count))
    return float(counter.get_total_flops()) / LATENT_FRAMES


def save_codec(path: Path, codec: Codec) -> None:
    """Write a codec's weights, in half precision, whole or not at all."""
    save_weights(codec, {"kind": KIND, **asdict(codec.config)}, path)


def load_codec(path: Path) -> Codec:
    """Read what `save_codec` wrote; float32, in evaluation mode.

    Raises:
        InvalidInput: The file is missing or no codec.
    """
    config, state = read_weights(path)
    if config.pop("kind", None) != KIND:
        raise InvalidInput(f"{path} holds weights of another network than the codec.")
    fields: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in config.items()}
    try:
        codec = Codec(CodecConfig(**fields))
        codec.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"The codec {path} does not fit together: {error}.") from error
    return codec.eval()
