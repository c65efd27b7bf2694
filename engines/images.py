"""Whatever people upload → an upright RGB array, with bounded work."""

from __future__ import annotations

import io
import warnings
from typing import Final

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from core import U8, PortraitRejected

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_PIXELS: Final = 64_000_000
"A 64-megapixel photo is 192 MB decoded: the most one upload may cost."
MAX_SIDE: Final = 2048
"A face that fills a 512 px crop never needs more."
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MATTE: Final = (128, 128, 128)
"What shows through transparency: mid grey suits light and dark hair alike."


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE) -> U8:
    """Decode an image file.

    Args:
        data: JPEG (also CMYK), PNG (also 16-bit, palette, alpha), WebP, BMP, TIFF, GIF.
        max_pixels: Larger pictures are refused before they are decoded.
        max_side: Larger pictures are scaled down to this.

    Returns:
        uint8 ``[H, W, 3]``, sRGB, turned upright as its EXIF says.

    Raises:
        PortraitRejected: ``reason`` is not-an-image, too-large or truncated.
    """
    if not data:
        raise PortraitRejected("The file is empty; send an image.", reason="not-an-image")
    if len(data) > MAX_BYTES:
        raise PortraitRejected(
            f"The file has {len(data) >> 20} MB; send at most {MAX_BYTES >> 20} MB.",
            reason="too-large",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and sizes; both are handled here
        return _decode(data, max_pixels, max_side)


def _decode(data: bytes, max_pixels: int, max_side: int) -> U8:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise _too_many_pixels(max_pixels, "") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise PortraitRejected(
            "This is not an image Saccade can read; send a JPEG, PNG or WebP file.",
            reason="not-an-image",
        ) from None
    width, height = image.size
    if width * height > max_pixels:
        raise _too_many_pixels(max_pixels, f" ({width}×{height})")
    try:
        image.draft("RGB", (max_side, max_side))  # JPEG decodes straight to a smaller size
        image.load()
        upright = ImageOps.exif_transpose(image)
        upright = _to_rgb(upright)
        upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    except PortraitRejected:
        raise
    except Exception as error:  # Pillow's codecs raise many kinds on broken files
        raise PortraitRejected(
            f"The picture can not be decoded; the file seems cut off or damaged ({error}).",
            reason="truncated",
        ) from None
    return np.ascontiguousarray(np.asarray(upright, np.uint8))


def _too_many_pixels(limit: int, size: str) -> PortraitRejected:
    return PortraitRejected(
        f"The picture has too many pixels{size}; the limit is {limit // 1_000_000} megapixels."
        " Scale it down first.",
        reason="too-large",
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode → RGB in sRGB, transparency over the matte."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return _scale_deep(image).convert("RGB")
    if image.mode == "CMYK":
        image = _from_profile(image) or image.convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        matte = Image.new("RGBA", rgba.size, (*MATTE, 255))
        return Image.alpha_composite(matte, rgba).convert("RGB")
    return _from_profile(image) or image.convert("RGB")


def _scale_deep(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit or float grey → 8-bit. Converting directly would clip to white."""
    values = np.asarray(image, np.float64)
    top = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max(initial=0.0)))
    if image.mode == "I" and values.max(initial=0.0) <= 255:
        top = 255.0
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))


def _from_profile(image: Image.Image) -> Image.Image | None:
    """Apply an embedded colour profile, or None where there is none that works."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
