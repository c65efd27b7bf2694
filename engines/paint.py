"""The compiled painter.

A frame is painted backwards. For an output pixel p, the head pose says which point r of the
unturned face is seen there; the expression says which point q of the portrait's picture lies at
r; the picture is sampled once, at q. Eyes and mouth are slits: there r has an upper and a lower
answer, and where neither lid (or lip) covers it, what lies behind is painted instead.

Numba's disk cache looks at this file alone, so every function `paint` calls is in it.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from engines.warp import kernel

_tuple: Any = nb.types.UniTuple
_f = nb.float32
_1d, _2d, _3d = nb.float32[::1], nb.float32[:, ::1], nb.float32[:, :, ::1]
_5d = nb.float32[:, :, :, :, ::1]
_u8 = nb.uint8[:, :, ::1]
_wide = nb.uint64[:, ::1]
_ROUND = np.uint64(2048 | 2048 << 21 | 2048 << 42)
"Half a unit in each lane, see `_picture`."


@kernel(_tuple(_f, 2)(_3d, _f, _f), inline="always")
def _displacement(grid: Any, gx: Any, gy: Any) -> Any:
    gh, gw = grid.shape[:2]
    gx = min(max(gx, np.float32(0)), np.float32(gw - 1.001))
    gy = min(max(gy, np.float32(0)), np.float32(gh - 1.001))
    ix, iy = int(gx), int(gy)
    a, b = gx - np.float32(ix), gy - np.float32(iy)
    w11 = a * b
    w01, w10 = a - w11, b - w11
    w00 = np.float32(1) - a - w10
    dx = (
        w00 * grid[iy, ix, 0]
        + w01 * grid[iy, ix + 1, 0]
        + w10 * grid[iy + 1, ix, 0]
        + w11 * grid[iy + 1, ix + 1, 0]
    )
    dy = (
        w00 * grid[iy, ix, 1]
        + w01 * grid[iy, ix + 1, 1]
        + w10 * grid[iy + 1, ix, 1]
        + w11 * grid[iy + 1, ix + 1, 1]
    )
    return dx, dy


@kernel(nb.uint64(_wide, _f, _f), inline="always")
def _picture(wide: Any, x: Any, y: Any) -> Any:
    """The portrait at (x, y): three channels in 21-bit lanes, in units of 1/4096.

    Bilinear in the double-size copy, which is nearly as sharp as a cubic in the picture itself;
    with the channels side by side in one word, four multiplications do the work of twelve.
    """
    h, w = wide.shape
    x = min(max(x + x, np.float32(0)), np.float32(w - 1.01))
    y = min(abs(y + y), np.float32(h - 1.01))  # above the picture: its mirror image
    ix, iy = np.int64(x), np.int64(y)
    a = np.int64((x - np.float32(ix)) * np.float32(64) + np.float32(0.5))
    b = np.int64((y - np.float32(iy)) * np.float32(64) + np.float32(0.5))
    w11 = a * b
    w01, w10 = 64 * a - w11, 64 * b - w11
    w00 = 4096 - 64 * a - w10
    return (
        wide[iy, ix] * np.uint64(w00)
        + wide[iy, ix + 1] * np.uint64(w01)
        + wide[iy + 1, ix] * np.uint64(w10)
        + wide[iy + 1, ix + 1] * np.uint64(w11)
    )


@kernel(_tuple(_f, 3)(nb.uint64), inline="always")
def _channels(lanes: Any) -> Any:
    mask, unit = np.uint64(0x1FFFFF), np.float32(1 / 4096)
    return (
        np.float32(lanes & mask) * unit,
        np.float32((lanes >> np.uint64(21)) & mask) * unit,
        np.float32(lanes >> np.uint64(42)) * unit,
    )


@kernel(_tuple(_f, 4)(_5d, nb.int64, nb.int64, _f, _f), inline="always")
def _patch(layers: Any, slit: Any, k: Any, x: Any, y: Any) -> Any:
    """Texture ``k`` of a slit at (x, y), clamped at its border."""
    h, w = layers.shape[2:4]
    x = min(max(x, np.float32(0)), np.float32(w - 1.001))
    y = min(max(y, np.float32(0)), np.float32(h - 1.001))
    ix, iy = int(x), int(y)
    a, b = x - np.float32(ix), y - np.float32(iy)
    w11 = a * b
    w01, w10 = a - w11, b - w11
    w00 = np.float32(1) - a - w10
    return (
        w00 * layers[slit, k, iy, ix, 0]
        + w01 * layers[slit, k, iy, ix + 1, 0]
        + w10 * layers[slit, k, iy + 1, ix, 0]
        + w11 * layers[slit, k, iy + 1, ix + 1, 0],
        w00 * layers[slit, k, iy, ix, 1]
        + w01 * layers[slit, k, iy, ix + 1, 1]
        + w10 * layers[slit, k, iy + 1, ix, 1]
        + w11 * layers[slit, k, iy + 1, ix + 1, 1],
        w00 * layers[slit, k, iy, ix, 2]
        + w01 * layers[slit, k, iy, ix + 1, 2]
        + w10 * layers[slit, k, iy + 1, ix, 2]
        + w11 * layers[slit, k, iy + 1, ix + 1, 2],
        w00 * layers[slit, k, iy, ix, 3]
        + w01 * layers[slit, k, iy, ix + 1, 3]
        + w10 * layers[slit, k, iy + 1, ix, 3]
        + w11 * layers[slit, k, iy + 1, ix + 1, 3],
    )


@kernel(_f(_f), inline="always")
def _ramp(x: Any) -> Any:
    """Smoothstep on [0, 1]."""
    x = min(max(x, np.float32(0)), np.float32(1))
    return x * x * (np.float32(3) - x - x)


@kernel(_tuple(_f, 2)(_2d, nb.int64, _f, _f), inline="always")
def _edges(slits: Any, i: Any, x: Any, y: Any) -> Any:
    """Signed distances (above the upper edge, below the lower edge) of a slit.

    ``slits[i]``: centre x, y, axis x, y, half, upper[4], lower[4], as in `face.Slit`.
    """
    dx, dy = x - slits[i, 0], y - slits[i, 1]
    s = (dx * slits[i, 2] + dy * slits[i, 3]) / slits[i, 4]
    t = dy * slits[i, 2] - dx * slits[i, 3]
    inside = max(np.float32(1) - s * s, np.float32(0))
    up = inside * (slits[i, 5] + s * (slits[i, 6] + s * (slits[i, 7] + s * slits[i, 8])))
    low = inside * (slits[i, 9] + s * (slits[i, 10] + s * (slits[i, 11] + s * slits[i, 12])))
    return up - t, t - low


@kernel(_f(_f, _f))
def lid_shade(upper: Any, lower: Any) -> Any:
    """Light that reaches the eyeball at these distances below the upper and above the lower lid,
    in units of the upper lid's shadow."""
    one = np.float32(1)
    above = np.float32(0.50) * math.exp(-upper)
    below = np.float32(0.26) * math.exp(-lower * np.float32(1.2))
    return (one - above) * (one - below)


# Layout of the per-eye state, float32: see `engines.eyeball.EyeLayer.state`.
# 0, 1 origin of the patches; 2, 3 iris centre; 4, 5 shift; 6..9 inverse 2x2 of the turned disc;
# 10 reach of the lid's shadow; 11, 12 shift of the glint; 13 share of the rest;
# 14 overlap of the lids; 15 share and 16..18 colour of unfolded lid; 19 travel of the upper lid.


@kernel(_tuple(_f, 3)(_5d, nb.int64, _2d, _f, _f, _f, _f))
def eye_colour(
    layers: Any, i: Any, eyes: Any, x: Any, y: Any, under_upper: Any, over_lower: Any
) -> Any:
    """The eyeball at (x, y) of the unturned face.

    Args:
        layers: per slit white (without the lids' shade), iris (colour times coverage, coverage;
            likewise), glint (to add), rest (what is missing to the portrait's own eye).
        i: which eye.
        eyes: states.
        under_upper, over_lower: distance to the edges of the lids, pixels.
    """
    one = np.float32(1)
    r, g, b, _ = _patch(layers, i, 0, x - eyes[i, 0], y - eyes[i, 1])
    dx, dy = x - eyes[i, 2] - eyes[i, 4], y - eyes[i, 3] - eyes[i, 5]
    ux = eyes[i, 2] + eyes[i, 6] * dx + eyes[i, 7] * dy
    uy = eyes[i, 3] + eyes[i, 8] * dx + eyes[i, 9] * dy
    ir, ig, ib, m = _patch(layers, i, 1, ux - eyes[i, 0], uy - eyes[i, 1])
    gr, gg, gb, _ = _patch(layers, i, 2, x - eyes[i, 11] - eyes[i, 0], y - eyes[i, 12] - eyes[i, 1])
    rr, rg, rb, _ = _patch(layers, i, 3, x - eyes[i, 0], y - eyes[i, 1])
    shade = lid_shade(
        max(under_upper, np.float32(0)) / eyes[i, 10], max(over_lower, np.float32(0)) / eyes[i, 10]
    )
    keep = one - m
    return (
        shade * (r * keep + ir) + gr + eyes[i, 13] * rr,
        shade * (g * keep + ig) + gg + eyes[i, 13] * rg,
        shade * (b * keep + ib) + gb + eyes[i, 13] * rb,
    )


# Layout of the mouth state, float32: see `engines.mouth_interior.MouthLayer.state`.
# 0, 1 origin of the patches; 2, 3 jaw shift; 4, 5 tongue shift; 6 pixels per mouth millimetre;
# 7..9 cavity colour; 10 light on the tongue; 11 light inside (0..1);
# 12 share of the rest.


@kernel(_f(_f, _f))
def lip_shade(upper_mm: Any, lower_mm: Any) -> Any:
    """Light that reaches the teeth at these distances (mm) under the lips."""
    one = np.float32(1)
    above = np.float32(0.62) * math.exp(-upper_mm / np.float32(1.6))
    below = np.float32(0.35) * math.exp(-lower_mm / np.float32(1.0))
    return (one - above) * (one - below)


@kernel(_tuple(_f, 3)(_5d, _1d, _2d, _f, _f, _f, _f))
def mouth_colour(
    layers: Any, mouth: Any, slits: Any, x: Any, y: Any, from_upper: Any, from_lower: Any
) -> Any:
    """The inside of the mouth at (x, y) of the unturned face.

    Args:
        layers: the last slit's are upper teeth, lower teeth, tongue (all colour times coverage,
            coverage) and rest (what is missing to the portrait's own mouth).
        mouth: state.
        slits: as for `paint`.
        from_upper, from_lower: distance to the upper and lower lip's edge, pixels.
    """
    one = np.float32(1)
    mm = mouth[6]
    px, py = x - mouth[0], y - mouth[1]
    du, dl = max(from_upper, np.float32(0)), max(from_lower, np.float32(0))
    light = lip_shade(du / mm, dl / mm) * mouth[11]
    dx, dy = x - slits[2, 0], y - slits[2, 1]
    s = (dx * slits[2, 2] + dy * slits[2, 3]) / slits[2, 4]
    side = max(one - np.float32(0.55) * s * s, np.float32(0.2))
    r, g, b = mouth[7] * side, mouth[8] * side, mouth[9] * side
    tr, tg, tb, ta = _patch(layers, 2, 2, px - mouth[4], py - mouth[5])
    tl = mouth[10] * light
    r, g, b = r * (one - ta) + tr * tl, g * (one - ta) + tg * tl, b * (one - ta) + tb * tl
    lr, lg, lb, la = _patch(layers, 2, 1, px - mouth[2], py - mouth[3])
    # The upper teeth overlap the lower ones and shade them.
    _, _, _, cast = _patch(layers, 2, 0, px, py - np.float32(1.3) * mm)
    ll = light * (one - np.float32(0.45) * cast)
    r, g, b = r * (one - la) + lr * ll, g * (one - la) + lg * ll, b * (one - la) + lb * ll
    ur, ug, ub, ua = _patch(layers, 2, 0, px, py)
    r, g, b = (
        r * (one - ua) + ur * light,
        g * (one - ua) + ug * light,
        b * (one - ua) + ub * light,
    )
    rr, rg, rb, _ = _patch(layers, 2, 3, px, py)
    return r + mouth[12] * rr, g + mouth[12] * rg, b + mouth[12] * rb


@kernel(
    _tuple(_f, 3)(
        _wide, _f, _f, _f, _f, _f, _f, nb.int64, _5d, _2d, _2d, _1d, _f, _f
    ),
)  # fmt: skip
def slit_colour(
    wide: Any,
    x: Any,
    y: Any,
    ax: Any,
    ay: Any,
    bx: Any,
    by: Any,
    slit: Any,
    layers: Any,
    slits: Any,
    eyes: Any,
    mouth: Any,
    inset: Any,
    ramp: Any,
) -> Any:
    """A pixel near an eye (slit 0, 1) or the mouth (2): lid or lip, or what lies behind.

    Args:
        wide: the portrait, see `paint`.
        x, y: the pixel in the unturned face.
        ax, ay, bx, by: where the upper and the lower side find it in the portrait.
        slit: which one.
        layers, slits, eyes, mouth, inset, ramp: as for `paint`.
    """
    half, one = np.float32(0.5), np.float32(1)
    above, beyond = _edges(slits, slit, ax, ay)
    _, below = _edges(slits, slit, bx, by)
    # The wet edge of a lid belongs to it: the hole starts further in.
    edge = np.float32(0) if slit == 2 else inset
    hole = _ramp((-above - edge) / ramp) * _ramp((-below - edge) / ramp)
    r, g, b = np.float32(0), np.float32(0), np.float32(0)
    if hole < 0.999:
        lap = np.float32(0) if slit == 2 else eyes[slit, 14]
        share = _ramp(half + half * (above - below + lap) / ramp)
        if share > 0.999:
            r, g, b = _channels(_picture(wide, ax, ay))
        elif share < 0.001:
            r, g, b = _channels(_picture(wide, bx, by))
        else:
            r, g, b = _channels(_picture(wide, ax, ay))
            lr, lg, lb = _channels(_picture(wide, bx, by))
            r, g, b = lr + share * (r - lr), lg + share * (g - lg), lb + share * (b - lb)
        if slit != 2 and share > 0 and eyes[slit, 15] > 0:
            # Between lash line and brow, where the lid is stretched, show skin, not a smear.
            travel = max(-(above + beyond) * eyes[slit, 19], one)
            part = ((ax - x) * (ax - x) + (ay - y) * (ay - y)) / (travel * travel)
            mix = _ramp((np.float32(0.96) - part) * np.float32(2)) * _ramp(part * np.float32(2.5))
            mix *= share * eyes[slit, 15] * _ramp(travel / (ramp * np.float32(4)))
            r += mix * (eyes[slit, 16] - r)
            g += mix * (eyes[slit, 17] - g)
            b += mix * (eyes[slit, 18] - b)
    if hole > 0.001:
        if slit == 2:
            # The inner edge of parted lips turns away from the light.
            dim = one - half * hole * (one - mouth[12])
            r, g, b = r * dim, g * dim, b * dim
            ir, ig, ib = mouth_colour(layers, mouth, slits, x, y, -above, -below)
        else:
            ir, ig, ib = eye_colour(layers, slit, eyes, x, y, -above, -below)
        r, g, b = r + hole * (ir - r), g + hole * (ig - g), b + hole * (ib - b)
    return r, g, b


@kernel(
    nb.void(
        _u8, _wide, _3d, nb.boolean, _f, _3d, _3d, _f, nb.uint8[:, ::1],
        _5d, _2d, _2d, _1d, _f, _f, _2d, _u8,
    ),
)  # fmt: skip
def paint(
    crop: Any,
    wide: Any,
    turned: Any,
    turns: Any,
    head_step: Any,
    up: Any,
    low: Any,
    face_step: Any,
    zones: Any,
    layers: Any,
    slits: Any,
    eyes: Any,
    mouth: Any,
    inset: Any,
    ramp: Any,
    row: Any,
    out: Any,
) -> None:
    """Paint one frame.

    Args:
        crop: ``[S, S, 3]`` the portrait.
        wide: uint64 ``[2S, 2S]``, the same at twice the size, channels at bits 0, 21, 42.
        turned: ``[hh, hw, 2]`` inverse of the head's turn; ``turns``: false when it is zero.
        up, low: ``[gh, gw, 2]`` inverses of the expression, upper and lower side.
        zones: ``[gh, gw]``: 0 still, 1 skin of the upper side, 2 left eye, 3 right eye, 4 mouth,
            5 skin of the lower side.
        layers: ``[3, 4, h, w, 4]`` textures of the slits.
        slits: ``[3, 13]`` left eye, right eye, mouth.  eyes: ``[2, 20]`` states.
        mouth: ``[13]`` state.
        inset: depth at which the soft edge of the lids begins; ramp: width of all soft edges.
        row: ``[hw, 2]`` scratch.
        out: ``[S, S, 3]``, written.
    """
    size = crop.shape[0]
    gh, gw = zones.shape
    half, zero, full = np.float32(0.5), np.float32(0), np.float32(255)
    to_head, to_face = np.float32(1) / head_step, np.float32(1) / face_step
    columns = turned.shape[1]
    for py in range(size):
        if turns:
            at = np.float32(py) * to_head
            hy = min(int(at), turned.shape[0] - 2)
            part = at - np.float32(hy)
            for i in range(columns):
                row[i, 0] = turned[hy, i, 0] + part * (turned[hy + 1, i, 0] - turned[hy, i, 0])
                row[i, 1] = turned[hy, i, 1] + part * (turned[hy + 1, i, 1] - turned[hy, i, 1])
        for px in range(size):
            x, y = np.float32(px), np.float32(py)
            if turns:
                at = x * to_head
                hx = min(int(at), columns - 2)
                part = at - np.float32(hx)
                x += row[hx, 0] + part * (row[hx + 1, 0] - row[hx, 0])
                y += row[hx, 1] + part * (row[hx + 1, 1] - row[hx, 1])
            gx, gy = x * to_face, y * to_face
            zone = zones[min(max(int(gy + half), 0), gh - 1), min(max(int(gx + half), 0), gw - 1)]
            ax, ay = x, y
            if zone == 5:
                ax, ay = _displacement(low, gx, gy)
                ax += x
                ay += y
            elif zone >= 1:
                ax, ay = _displacement(up, gx, gy)
                ax += x
                ay += y
            if zone >= 2 and zone < 5:
                bx, by = _displacement(low, gx, gy)
                bx += x
                by += y
                slit = np.int64(zone) - 2
                r, g, b = slit_colour(
                    wide, x, y, ax, ay, bx, by, slit, layers, slits, eyes, mouth, inset, ramp
                )
                out[py, px, 0] = np.uint8(min(max(r + half, zero), full))
                out[py, px, 1] = np.uint8(min(max(g + half, zero), full))
                out[py, px, 2] = np.uint8(min(max(b + half, zero), full))
            elif ax == np.float32(px) and ay == np.float32(py):
                out[py, px, 0] = crop[py, px, 0]
                out[py, px, 1] = crop[py, px, 1]
                out[py, px, 2] = crop[py, px, 2]
            else:
                lanes = _picture(wide, ax, ay) + _ROUND
                out[py, px, 0] = np.uint8(lanes >> np.uint64(12))
                out[py, px, 1] = np.uint8(lanes >> np.uint64(33))
                out[py, px, 2] = np.uint8(lanes >> np.uint64(54))
