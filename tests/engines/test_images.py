"""decode_image: every awkward form of the same picture gives the same picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from core import U8, PortraitRejected
from engines.images import MATTE, decode_image


def picture(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth colour gradient: survives JPEG, and no two corners are alike."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 / width, y * 255 / height, 255 - x * 255 / width], -1)
    return Image.fromarray(rgb.astype(np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def difference(a: U8, b: Image.Image | U8) -> float:
    return float(np.abs(a.astype(float) - np.asarray(b, float)).mean())


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "JPEG"])
def test_common_formats(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    rgb = decode_image(encoded(picture(), format, **options))
    assert rgb.shape == (64, 96, 3) and rgb.dtype == np.uint8
    assert difference(rgb, picture()) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    turned = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = picture() if turned is None else picture().transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = decode_image(encoded(stored, "JPEG", exif=exif, quality=95))
    assert rgb.shape == (64, 96, 3)
    assert difference(rgb, picture()) < 3


def test_transparency_shows_the_matte() -> None:
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    assert (decode_image(encoded(clear)) == MATTE).all()


def test_palette_with_transparency() -> None:
    image = picture().quantize(32)
    rgb = decode_image(encoded(image, "PNG", transparency=0))
    assert rgb.shape == (64, 96, 3)


def test_grey_becomes_three_equal_channels() -> None:
    rgb = decode_image(encoded(picture().convert("L")))
    assert (rgb[..., 0] == rgb[..., 1]).all() and np.ptp(rgb) > 50


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    grey = np.asarray(picture().convert("L"), np.uint16)
    rgb = decode_image(encoded(Image.fromarray(grey * 257)))
    assert difference(rgb[..., 0], grey.astype(np.uint8)) < 1


def test_cmyk_jpeg() -> None:
    rgb = decode_image(encoded(picture().convert("CMYK"), "JPEG", quality=95))
    assert difference(rgb, picture()) < 6


def test_an_embedded_profile_is_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(decode_image(encoded(picture(), icc_profile=profile)), picture()) < 2


def test_a_broken_profile_is_ignored() -> None:
    assert difference(decode_image(encoded(picture(), icc_profile=b"nonsense")), picture()) < 2


def test_large_pictures_are_scaled_down() -> None:
    rgb = decode_image(encoded(Image.new("RGB", (5000, 2500), "teal"), "JPEG"))
    assert rgb.shape == (1024, 2048, 3)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    with pytest.raises(PortraitRejected, match="megapixels") as caught:
        decode_image(bomb)
    assert caught.value.facts["reason"] == "too-large"


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"<svg/>"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(PortraitRejected) as caught:
        decode_image(data)
    assert caught.value.facts["reason"] == "not-an-image"


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_truncated_files_are_refused(format: str) -> None:
    data = encoded(picture(400, 300), format)
    with pytest.raises(PortraitRejected) as caught:
        decode_image(data[: len(data) // 2])
    assert caught.value.facts["reason"] == "truncated"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300), st.sampled_from(["PNG", "JPEG", "GIF"]))
def test_wild_bytes_are_decoded_or_refused(noise: bytes, at: int, format: str) -> None:
    """A valid file with noise written over it: never another exception, never another type."""
    data = bytearray(encoded(picture(), format))
    data[at : at + len(noise)] = noise
    try:
        rgb = decode_image(bytes(data))
    except PortraitRejected:
        return
    assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3
