"""decode_image: every awkward form of the same picture gives the same picture."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from core import U8, PortraitRejected
from engines.images import MATTE, MAX_BYTES, decode_image, image_size


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


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int, format: str) -> None:
    turned = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = picture() if turned is None else picture().transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = decode_image(encoded(stored, format, exif=exif, quality=95))
    assert rgb.shape == (64, 96, 3)
    assert difference(rgb, picture()) < 3


@pytest.mark.filterwarnings("ignore")  # Pillow comments on the damage
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"E" * 99]
)
def test_a_broken_exif_is_ignored(exif: bytes) -> None:
    rgb = decode_image(encoded(picture(), "JPEG", exif=exif, quality=95))
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


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("white", [255, 1023, 4095, 65535])
def test_deep_grey_is_scaled_not_clipped(format: str, white: int) -> None:
    """Whatever number of bits the camera had, its white stays white."""
    grey = np.asarray(picture().convert("L"), np.float64)
    grey = (grey - grey.min()) / np.ptp(grey)
    rgb = decode_image(encoded(Image.fromarray((grey * white).astype(np.uint16)), format))
    assert difference(rgb[..., 0], (grey * 255).astype(np.uint8)) < 1.5


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_float_grey_is_scaled(white: float) -> None:
    grey = np.linspace(0, white, 96 * 64, dtype=np.float32).reshape(64, 96)
    grey[0, 0] = np.nan
    rgb = decode_image(encoded(Image.fromarray(grey), "TIFF"))
    assert rgb[0, 0, 0] == 0 and rgb.max() == 255
    assert difference(rgb[..., 0], np.nan_to_num(grey * 255 / white).astype(np.uint8)) < 1.5


def test_deep_grey_is_scaled_down_too() -> None:
    deep = np.full((300, 5000), 40_000, np.uint16)
    rgb = decode_image(encoded(Image.fromarray(deep)))
    assert rgb.shape == (123, 2048, 3) and abs(int(rgb[60, 60, 0]) - 156) <= 1


def test_sixteen_bit_colour() -> None:
    """Hand-made, as Pillow writes none: RGB, 16 bits a channel, one stripe of each primary."""
    row = b"\0" + np.array([[65535, 0, 0], [0, 65535, 0], [0, 0, 65535]], ">u2").tobytes()
    rgb = decode_image(png_file(width=3, height=1, bits=16, colour=2, rows=row))
    assert rgb.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


def png_file(*, width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_cmyk_jpeg() -> None:
    rgb = decode_image(encoded(picture().convert("CMYK"), "JPEG", quality=95))
    assert difference(rgb, picture()) < 6


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    for format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
        assert decode_image(data)[32, 32].argmax() == 0


def swapped_profile() -> bytes:
    """An RGB profile whose red and green primaries are exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.find(b"rXYZ"), profile.find(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_embedded_profile_is_applied(mode: str) -> None:
    red = Image.new("RGB", (32, 32), (200, 20, 20)).convert(mode)
    rgb = decode_image(encoded(red, icc_profile=swapped_profile()))
    assert rgb[0, 0, 1] > 180 and rgb[0, 0, 0] < 60


def test_a_broken_profile_is_ignored() -> None:
    assert difference(decode_image(encoded(picture(), icc_profile=b"nonsense")), picture()) < 2


@pytest.mark.parametrize(("format", "mode"), [("JPEG", "RGB"), ("PNG", "P"), ("PNG", "RGBA")])
def test_large_pictures_are_scaled_down(format: str, mode: str) -> None:
    data = encoded(Image.new("RGB", (5000, 2500), "teal").convert(mode), format)
    assert image_size(data) == (5000, 2500)
    rgb = decode_image(data)
    assert rgb.shape == (1024, 2048, 3)
    assert difference(rgb, np.full_like(rgb, (0, 128, 128))) < 3


def test_a_large_picture_on_its_side_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encoded(picture(3000, 1000), "JPEG", exif=exif)).shape == (2048, 683, 3)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    with pytest.raises(PortraitRejected, match="megapixels") as caught:
        decode_image(bomb)
    assert caught.value.facts["reason"] == "too-large"


def test_a_file_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(PortraitRejected, match="MB") as caught:
        decode_image(encoded(picture()) + bytes(MAX_BYTES))
    assert caught.value.facts["reason"] == "too-large"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypmif1", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_common_mistakes_are_named(head: bytes, kind: str) -> None:
    with pytest.raises(PortraitRejected, match=f"{kind} file") as caught:
        decode_image(head + bytes(200))
    assert caught.value.facts["reason"] == "not-an-image"


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


BASES = {format: encoded(picture(), format) for format in ("PNG", "JPEG", "GIF", "TIFF", "WEBP")}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=250, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 700), st.sampled_from(sorted(BASES)))
def test_damaged_files_are_decoded_or_refused(noise: bytes, at: int, format: str) -> None:
    """A valid file with noise written over it: never another exception, never another type."""
    data = bytearray(BASES[format])
    data[at : at + len(noise)] = noise
    try:
        rgb = decode_image(bytes(data))
    except PortraitRejected:
        return
    assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from([b"", b"\xff\xd8\xff", b"II*\0", b"BM", b"RIFF", b"GIF89a"]), st.binary())
def test_random_bytes_are_refused(head: bytes, rest: bytes) -> None:
    try:
        decode_image(head + rest)
    except PortraitRejected as refused:
        assert refused.facts["reason"] in {"not-an-image", "truncated", "too-large"}
