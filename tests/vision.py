"""How colours look: contrast, distance, and to readers who lack a cone. For tests of the page's colours.

Sources: WCAG 2.2, relative luminance and contrast ratio; Machado, Oliveira, Fernandes, "A Physiologically-based Model for
Simulation of Color Vision Deficiency", 2009, the matrices of severity 1; Sharma, Wu, Dalal, "The CIEDE2000
Color-Difference Formula", 2005. Colours are sRGB: ``#rrggbb``, ``rgb(r, g, b)`` or ``rgba(r, g, b, a)``.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: What readers see, as matrices on linear RGB; nearly one man in twelve has a milder form of the first two.
VISIONS: dict[str, Floats] = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def channels(colour: str) -> tuple[Floats, float]:
    """Return a colour's channels in [0, 1], shape [3], and its opacity."""
    if colour.startswith("#"):
        return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255, 1.0
    numbers = [float(n) for n in re.findall(r"[\d.]+", colour)]
    return np.array(numbers[:3]) / 255, numbers[3] if len(numbers) > 3 else 1.0


def over(colour: str, background: str, opacity: float = 1.0) -> Floats:
    """Return the channels of a colour that is laid over a background, shape [3]."""
    top, alpha = channels(colour)
    alpha *= opacity
    mixed: Floats = alpha * top + (1 - alpha) * channels(background)[0]
    return mixed


def linear(rgb: Floats) -> Floats:
    """Return channels in proportion to light, shape [..., 3]."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(colour: str, background: str, opacity: float = 1.0) -> float:
    """Return the contrast ratio of a colour to the background that it lies on, from 1 to 21."""
    luminances = [
        float(_TO_XYZ[1] @ linear(c)) for c in (over(colour, background, opacity), channels(background)[0])
    ]
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


def lab(rgb: Floats, vision: str = "normal") -> Floats:
    """Return how channels [..., 3] look, as CIE L*a*b* of the light that a reader's eye makes of them."""
    seen = np.clip(linear(rgb) @ VISIONS[vision].T, 0.0, 1.0) @ _TO_XYZ.T / _WHITE
    f = np.where(seen > (6 / 29) ** 3, np.cbrt(seen), seen / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )


def apart(one: str, other: str, vision: str = "normal") -> float:
    """Return how different two colours look: CIEDE2000, about 1 where a trained eye begins to see it."""
    return float(ciede2000(lab(channels(one)[0], vision), lab(channels(other)[0], vision)))


def ciede2000(one: Floats, other: Floats) -> Floats:
    """Return the CIEDE2000 difference of L*a*b* colours, shape [..., 3] each."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    c_mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 1 + 0.5 * (1 - np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)))
    c1, c2 = np.hypot(g * a1, b1), np.hypot(g * a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, g * a1)) % 360, np.degrees(np.arctan2(b2, g * a2)) % 360
    coloured = (c1 * c2) > 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    hue = np.where(coloured, (h1 + turn / 2) % 360, h1 + h2)
    t = (
        1
        - 0.17 * _cos(hue - 30)
        + 0.24 * _cos(2 * hue)
        + 0.32 * _cos(3 * hue + 6)
        - 0.20 * _cos(4 * hue - 63)
    )
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotation = (
        -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
        * 2
        * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    )
    l_, c_, h_ = dl / s_l, dc / s_c, dh / s_h
    difference: Floats = np.sqrt(l_**2 + c_**2 + h_**2 + rotation * c_ * h_)
    return difference


def _cos(degrees: Floats) -> Floats:
    return np.cos(np.radians(degrees))


def hex_of(rgb: Floats) -> str:
    """Return channels as ``#rrggbb``."""
    return "#" + "".join(f"{math.floor(255 * c + 0.5):02x}" for c in rgb.tolist())
