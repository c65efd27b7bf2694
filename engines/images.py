"""Whatever people upload → an upright RGB array, with bounded work."""

from __future__ import annotations

import io
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from core import U8, PortraitRejected

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_PIXELS: Final = 64_000_000
"A 64-megapixel picture takes up to 0.6 GB while it is read: the most one upload may cost."
MAX_SIDE: Final = 2048
"A face that fills a 512 px crop seldom needs more."
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MATTE: Final = (128, 128, 128)
"What shows through transparency: mid grey suits light and dark hair alike."
DEPTHS: Final = (255, 1023, 4095, 65535)
"Whites of 8, 10, 12 and 16-bit cameras and scanners, whose values come in 16-bit files."
ORIENTATION: Final = 0x0112
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"What undoes each EXIF orientation (CIPA DC-008, tag 0x0112)."
STRANGERS: Final = (
    (4, (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1"), "HEIC"),
    (4, (b"ftypavi",), "AVIF"),
    (4, (b"ftyp",), "video"),
    (0, (b"\x1aE\xdf\xa3",), "video"),
    (0, (b"%PDF",), "PDF"),
    (0, (b"<svg", b"<?xml"), "SVG"),
)
"Offset, first bytes and name of what people send by mistake; worth a clearer message."


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE) -> U8:
    """Decode an image file.

    Args:
        data: JPEG (also CMYK), PNG (also 16-bit, palette, alpha), WebP, BMP, TIFF, GIF; of
            several pictures in a file, the first.
        max_pixels: Larger pictures are refused before they are decoded.
        max_side: Larger pictures are scaled down to this.

    Returns:
        uint8 ``[H, W, 3]``, sRGB, turned upright as its EXIF says.

    Raises:
        PortraitRejected: ``reason`` is not-an-image, too-large or truncated.
    """
    image = _open(data, max_pixels)
    try:
        image.draft("RGB", (max_side, max_side))  # JPEG decodes straight to a smaller size
        image.load()
        turn = TURNS.get(_orientation(image))
        image = _shrink(image, max_side)  # before anything that would copy it at full size
        rgb = _to_rgb(image)
        upright = rgb if turn is None else rgb.transpose(turn)
    except Exception as error:  # Pillow's codecs raise dozens of kinds on broken files
        raise PortraitRejected(
            "The picture can not be decoded; the file seems cut off or damaged. Send it again, or"
            f" save it as JPEG or PNG first. ({error})",
            reason="truncated",
        ) from error
    return np.ascontiguousarray(np.asarray(upright, np.uint8))


def image_size(data: bytes) -> tuple[int, int]:
    """Stored width and height of an image file, from its header; before any EXIF turn.

    Raises:
        PortraitRejected: As `decode_image`, for what the header shows.
    """
    width, height = _open(data, MAX_PIXELS).size
    return width, height


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Read the header; refuse what is not wanted before it costs anything."""
    if not data:
        raise PortraitRejected("The file is empty; send an image.", reason="not-an-image")
    if len(data) > MAX_BYTES:
        raise PortraitRejected(
            f"The file has {len(data) >> 20} MB; send at most {MAX_BYTES >> 20} MB.",
            reason="too-large",
        )
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(max_pixels, "") from None
    except UnidentifiedImageError:
        raise _not_an_image(data) from None
    except Exception as error:  # a damaged header; see decode_image
        raise _not_an_image(data) from error
    width, height = image.size
    if width * height > max_pixels:
        raise _too_many_pixels(max_pixels, f" ({width}×{height})")
    return image


def _not_an_image(data: bytes) -> PortraitRejected:
    for at, heads, kind in STRANGERS:
        if data[at : at + 8].startswith(heads):
            return PortraitRejected(
                f"This is a {kind} file, which Saccade can not read; save it as JPEG or PNG first.",
                reason="not-an-image",
                kind=kind,
            )
    return PortraitRejected(
        "This is not an image Saccade can read; send a JPEG, PNG or WebP file.",
        reason="not-an-image",
    )


def _too_many_pixels(limit: int, size: str) -> PortraitRejected:
    return PortraitRejected(
        f"The picture has too many pixels{size}; the limit is {limit // 1_000_000} megapixels."
        " Scale it down first.",
        reason="too-large",
    )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or the EXIF is broken."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF is written by all kinds of software; a picture survives a bad one
        return 1


def _shrink(image: Image.Image, max_side: int) -> Image.Image:
    """Scale down to ``max_side``; 16-bit, 32-bit and float grey become 8-bit on the way."""
    if image.mode.startswith(("I", "F")):
        return _from_deep(np.asarray(image), max_side)
    if max(image.size) <= max_side:
        return image
    if image.mode in ("P", "PA", "1"):  # indices and bits can not be averaged
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def _from_deep(values: npt.NDArray[Any], side: int) -> Image.Image:
    """Grey of more than 8 bits → 8-bit. Pillow's own conversion would clip it to white."""
    if values.dtype != np.uint16:
        values = values.astype(np.float32)
    scale = side / max(values.shape)
    if scale < 1:
        values = cv2.resize(values, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    most = float(grey.max(initial=0.0))
    if most <= 1.0:  # floats from 0 to 1; integers this small are black
        white = 1.0
    else:
        white = float(next((depth for depth in DEPTHS if most <= depth), most))
    return Image.fromarray(np.clip(grey * (255.0 / white) + 0.5, 0, 255).astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode → RGB in sRGB, transparency over the matte."""
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        matte = Image.new("RGBA", rgba.size, (*MATTE, 255))
        image = Image.alpha_composite(matte, rgba).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            managed = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
            if managed is not None:
                return managed
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken or foreign profile: plain numbers are better than no picture
    return image.convert("RGB")
