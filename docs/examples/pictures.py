"""Labelled pictures that ship in Debian packages: photographs and drawings, or emoji.

`photos`: the stamps of Tux Paint (tuxpaint-stamps-default, GPL-2, 161 MB), most of them photographs on a white
ground; the folder says what is on them. `emoji`: Noto Color Emoji (fonts-noto-color-emoji, OFL-1.1, 10 MB); the
subgroups of Unicode's list (unicode-data, 8 MB) say what they show, those of things with at least twenty are taken.
"""

import base64
import io
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from debian_tools import unpack  # scripts/ is no package

STAMPS = {
    "birds": "animals/birds", "mammals": "animals/mammals", "insects": "animals/insects", "fruit": "food/fruit",
    "vegetables": "food/vegetables", "flowers": "plants/flowers", "houses": "town/houses", "vehicles": "vehicles",
}  # fmt: skip
_GROUPS = ("Animals & Nature", "Food & Drink", "Travel & Places", "Objects")
_FEWEST, _JOINER, _SKIN = 20, 0x200D, range(0x1F3FB, 0x1F400)
_EMOJI_SIZE = 109  # the one size in which the font's pictures are drawn
_SIDE = 224
_ADVICE = "take the other --pictures"


def photos() -> Iterator[tuple[Any, str]]:
    """Yield stamps and what is on them."""
    root = unpack("tuxpaint-stamps-default", _ADVICE) / "usr" / "share" / "tuxpaint" / "stamps"
    for name, folder in STAMPS.items():
        for path in sorted((root / folder).rglob("*.png")):
            with Image.open(path) as image:
                yield _on_white(image.convert("RGBA")), name


def emoji() -> Iterator[tuple[Any, str]]:
    """Yield emoji and the subgroup they belong to."""
    home = unpack("fonts-noto-color-emoji", _ADVICE) / "usr" / "share" / "fonts" / "truetype" / "noto"
    font = ImageFont.truetype(str(home / "NotoColorEmoji.ttf"), _EMOJI_SIZE)
    listed = unpack("unicode-data", _ADVICE) / "usr" / "share" / "unicode" / "emoji" / "emoji-test.txt"
    for name, members in _subgroups(listed.read_text(encoding="utf-8")).items():
        for each in members if len(members) >= _FEWEST else ():
            image = Image.new("RGBA", (136, 128))
            ImageDraw.Draw(image).text((0, 0), each, font=font, embedded_color=True)
            yield _on_white(image), name


def _subgroups(listed: str) -> dict[str, list[str]]:
    """Return the emoji of each subgroup that shows things, without variants of skin and without joined ones."""
    found: dict[str, list[str]] = defaultdict(list)
    group = subgroup = ""
    for line in listed.splitlines():
        kind, _, rest = line.partition(": ")
        if kind == "# group":
            group = rest.strip()
        elif kind == "# subgroup":
            subgroup = rest.strip()
        elif group in _GROUPS and "; fully-qualified" in line:
            points = [int(point, 16) for point in line.partition(";")[0].split()]
            if _JOINER not in points and not any(point in _SKIN for point in points):
                found[subgroup].append("".join(map(chr, points)))
    return found


def _on_white(image: Any) -> Any:
    side = max(image.size)
    ground = Image.new("RGBA", (side, side), (255, 255, 255, 255))
    ground.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
    return ground.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)


def in_event(image: Any) -> str:
    """Return a picture as an event carries it: PNG in base64."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return base64.b64encode(out.getvalue()).decode()
