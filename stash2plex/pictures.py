"""Pictures in the shapes that Plex shows: a poster is 2:3, a background 16:9.

Functions from bytes to bytes. Whatever comes in, what goes out is wholly read, the
right way up, of 8 bits, and a plain JPEG, PNG or WebP. They take long and much memory:
`shaped_aside` has a thread do it, and never many at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Literal

import PIL
from PIL import (
    Image,
    ImageCms,
    ImageFilter,
    ImageOps,
    ImageStat,
    PngImagePlugin,
    UnidentifiedImageError,
)

from stash2plex.errors import PictureFailed

# Posters are cropped, blurred, letterboxed or left alone; backgrounds are wide. A logo
# may be transparent.
Shape = Literal["crop", "blur", "letterbox", "original", "wide", "square", "logo"]

_POSTER = 2 / 3
_WIDE = 16 / 9
_SQUARE = 1.0
# So much may a cover differ from 16:9 and still be a background as it is.
_NEARLY = 0.05
# Plex says that it reads pictures of up to 100 MB; users report 10 MB, and every client
# has to load them too.
_MAX_BYTES = 10 * 1024 * 1024
# Larger posters look the same in every client.
_MAX_HEIGHT = 1500
# So that a frame around a very wide picture stays small.
_MAX_SIDE = 4000
_QUALITY = 90
# A cover of more pixels is a mistake or an attack; Pillow would only warn. JPEG can be
# read at an eighth of its size, but for progressive ones, which are held whole.
_MEGA = 1_000_000
_MAX_PIXELS = 40 * _MEGA
_MAX_REDUCED = 250 * _MEGA
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", "Corrupt EXIF data")  # many are, and are of no use
# Programs write whole work-flows into the text of a PNG.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024
_BLUR_RADIUS = 24
_SRGB = ImageCms.createProfile("sRGB")
# What covers are. Pillow would hand PostScript to another program, and read the inside
# of an icon before anybody could ask how large it is.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
# What every client of Plex shows.
_PLAIN = frozenset({"JPEG", "PNG", "WEBP"})
_ORIENTATION = 0x0112
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Where a PNG tells how many bits a channel has.
_PNG_DEPTH, _EIGHT = 24, 8
_SIXTEEN_BITS = 256
# What light and dark pictures stand on where they are transparent.
_DARK, _LIGHT = (24, 24, 24), (255, 255, 255)
_MIDDLE = 128
# Who says that nothing can be made of a picture: another release may be able to.
JUDGE = f"{PIL.__version__}/1"
_INSTEAD = "save it as JPEG, PNG or WebP in Stash"

# Pictures of more pixels are read one at a time, and keep none of the others waiting.
_LARGE = 12 * _MEGA
_LARGE_ONE = threading.Lock()
_ALONE = ThreadPoolExecutor(1, thread_name_prefix="large-pictures")
# So that two covers of usual size are shaped at once.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="pictures")


class NotAPicture(ValueError):
    """The bytes are no picture that we can read."""


class NoMemory(PictureFailed):
    """There is not enough memory for a picture at the moment."""


def picture_hash(data: bytes, shape: Shape) -> str:
    """Name what *data* becomes in *shape*.

    The source is hashed, not the result, so that an update of the imaging library
    uploads nothing anew.
    """
    return f"{bytes_hash(data)}:{shape}"


def bytes_hash(data: bytes) -> str:
    """Name *data* as Plex names an upload of it."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


async def shaped_aside(data: bytes, shape: Shape) -> bytes:
    """Do what `shaped` does in a thread."""
    loop = asyncio.get_running_loop()
    large = await loop.run_in_executor(_THREADS, _is_large, data)
    threads = _ALONE if large else _THREADS
    return await loop.run_in_executor(threads, shaped, data, shape)


def shaped(data: bytes, shape: Shape) -> bytes:
    """Return *data* in *shape*, as JPEG, or PNG for what stays transparent.

    It is unchanged for ``original`` and ``logo``, and for ``wide`` when it is that, if
    it is plain and not huge.
    Raises `NotAPicture`, which names the format and what to do, and `NoMemory`.
    """
    kind = ""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            kind = opened.format or ""
            with _LARGE_ONE if _pixels(opened) > _LARGE else nullcontext():
                return _shaped(opened, data, shape)
    except NotAPicture:
        raise
    except UnidentifiedImageError:
        raise NotAPicture(_unreadable(data)) from None
    except MemoryError:
        raise NoMemory("there is not enough memory for the picture") from None
    except Exception as error:  # Pillow raises all sorts
        what = f"the {kind or _name_of(data) or 'picture'} is damaged"
        msg = f"{what} ({type(error).__name__}); choose another one in Stash"
        raise NotAPicture(msg) from error


def _pixels(opened: Image.Image) -> int:
    return opened.width * opened.height


def _is_large(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            return _pixels(opened) > _LARGE
    except Exception:
        return False


def _shaped(opened: Image.Image, data: bytes, shape: Shape) -> bytes:
    if _is_fit(opened, data, shape):
        opened.load()  # a damaged one shows here only
        return data
    _reduce_while_reading(opened)
    if _pixels(opened) > _MAX_PIXELS:
        msg = (
            f"the {opened.format} has {round(_pixels(opened) / _MEGA)} million pixels,"
            f" more than {_MAX_PIXELS // _MEGA}; choose a smaller one in Stash"
        )
        raise NotAPicture(msg)
    picture = _SHAPES[shape](_small(opened, keeps_alpha=shape == "logo"))
    if picture.height > _MAX_HEIGHT and shape != "original":
        picture.thumbnail((_MAX_SIDE, _MAX_HEIGHT))
    written = io.BytesIO()
    if picture.mode == "RGBA":
        picture.save(written, "PNG")
    else:
        picture.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _is_fit(opened: Image.Image, data: bytes, shape: Shape) -> bool:
    """Whether a picture can go out as it is."""
    if shape not in {"original", "wide", "logo"} or len(data) > _MAX_BYTES:
        return False
    modes = {"RGB", "L", "RGBA"} if shape == "logo" else {"RGB", "L"}
    is_plain = (
        opened.format in _PLAIN
        and opened.mode in modes
        and "transparency" not in opened.info
        and getattr(opened, "n_frames", 1) == 1
        and _orientation(opened) == _UPRIGHT
        and not (opened.format == "PNG" and data[_PNG_DEPTH] > _EIGHT)
    )
    if not is_plain or _pixels(opened) > _MAX_PIXELS:
        return False
    return shape != "wide" or (_is_wide(opened) and max(opened.size) <= _MAX_SIDE)


def _is_wide(picture: Image.Image) -> bool:
    return abs(picture.width / picture.height / _WIDE - 1) <= _NEARLY


def _factor(size: tuple[int, int]) -> int:
    """Return how often a picture can be halved and more, and still be large enough."""
    return max(1, min(size) // _MAX_HEIGHT)


def _reduce_while_reading(opened: Image.Image) -> None:
    """Have a photograph read at a half, a quarter or an eighth of its size."""
    if "progressive" not in opened.info and _pixels(opened) <= _MAX_REDUCED:
        factor = _factor(opened.size)
        opened.draft("RGB", (opened.width // factor, opened.height // factor))


def _small(opened: Image.Image, *, keeps_alpha: bool) -> Image.Image:
    """Read a picture the right way up, of 8 bits, and no larger than is of use.

    Whole pictures are dropped as soon as there is something smaller: one of 40
    megapixels takes 160 MB, and some decoders two copies beside it.
    """
    upright = _orientation(opened)
    picture = _of_eight_bits(opened)
    if picture is not opened:
        opened.close()
    factor = _factor(picture.size)
    if factor > 1:
        whole, picture = picture, picture.reduce(factor)
        whole.close()
        largest = round(_MAX_HEIGHT * _WIDE)
        picture.thumbnail((largest, largest))
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    turn = _TURNS.get(upright)
    if turn is not None:  # one of them is 0
        picture = picture.transpose(turn)
    picture = _in_common_colours(picture)
    if picture.mode == "RGBA" and not keeps_alpha:
        picture = _on_ground(picture)
    return picture if picture.mode == "RGBA" else picture.convert("RGB")


def _orientation(opened: Image.Image) -> int:
    """Return how a picture is turned, by EXIF; many files have one that is broken."""
    try:
        return int(opened.getexif().get(_ORIENTATION, _UPRIGHT))
    except Exception:
        return _UPRIGHT


def _of_eight_bits(opened: Image.Image) -> Image.Image:
    """Read a picture in colours, transparent ones if it has any, or in grey."""
    if opened.mode.startswith("I"):
        # Pillow would cut off what is above 255 instead of scaling it.
        wide = opened if opened.mode == "I" else opened.convert("I")
        return wide.point(lambda value: value * (1 / _SIXTEEN_BITS)).convert("L")
    if opened.mode in {"RGBA", "LA", "PA"} or "transparency" in opened.info:
        return opened if opened.mode == "RGBA" else opened.convert("RGBA")
    # What has few colours, or odd ones, has none in between.
    as_is = {"RGB", "L", "CMYK"}
    return opened if opened.mode in as_is else opened.convert("RGB")


def _in_common_colours(picture: Image.Image) -> Image.Image:
    """Return *picture* in sRGB, which is what is seen where no profile is told."""
    profile = picture.info.pop("icc_profile", None)
    if not profile or picture.mode not in {"RGB", "CMYK", "RGBA"}:
        return picture
    try:
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        colours = picture.convert("RGB") if picture.mode == "RGBA" else picture
        found = ImageCms.profileToProfile(colours, theirs, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # a profile that is none
    if found is None:
        return picture
    if picture.mode == "RGBA":
        found.putalpha(picture.getchannel("A"))
    return found


def _on_ground(picture: Image.Image) -> Image.Image:
    """Put what is transparent on a ground that it can be seen on."""
    alpha = picture.getchannel("A")
    seen = alpha.point(lambda value: _LIGHT[0] if value > _MIDDLE else 0)
    ground = _DARK
    if seen.getbbox():
        brightness = ImageStat.Stat(picture.convert("L"), mask=seen).mean[0]
        ground = _DARK if brightness > _MIDDLE else _LIGHT
    whole = Image.new("RGB", picture.size, ground)
    whole.paste(picture, mask=alpha)
    return whole


def _name_of(data: bytes) -> str:
    """Return what a format is called, by its first bytes, "" for others."""
    for start, kind in _MAGIC.items():
        if data.startswith(start):
            return kind.partition("/")[2].upper()
    return ""


def _unreadable(data: bytes) -> str:
    """Say why nothing can be made of bytes, and what to do."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _HEIC:
        return f"HEIC cannot be read here; {_INSTEAD}"
    if brand in _AVIF:
        return f"this AVIF cannot be read here; {_INSTEAD}"
    if data.startswith(_JXL):
        return f"JPEG XL cannot be read here; {_INSTEAD}"
    if data.lstrip()[:1] == b"<":
        return "it is a web page, not a picture; does stash.url lead to Stash itself?"
    if name := _name_of(data):
        return f"the {name} is damaged; choose another one in Stash"
    return f"the bytes are no picture that can be read here; {_INSTEAD}"


def content_type(data: bytes) -> str:
    """Return the media type of a picture, by its first bytes."""
    for start, kind in _MAGIC.items():
        if data.startswith(start):
            return kind
    return "application/octet-stream"


def _crop(picture: Image.Image, ratio: float = _POSTER) -> Image.Image:
    """Cut the middle out."""
    return ImageOps.fit(picture, _inside(*picture.size, ratio))


def _square(picture: Image.Image) -> Image.Image:
    return _crop(picture, _SQUARE)


def _wide(picture: Image.Image) -> Image.Image:
    return picture if _is_wide(picture) else _blur(picture, _WIDE)


def _blur(picture: Image.Image, ratio: float = _POSTER) -> Image.Image:
    """Show the whole picture on a blurred enlargement of itself."""
    frame = _around(*picture.size, ratio)
    poster = ImageOps.fit(picture, frame).filter(ImageFilter.GaussianBlur(_BLUR_RADIUS))
    return _centred(picture, poster)


def _letterbox(picture: Image.Image) -> Image.Image:
    """Show the whole picture between black bars."""
    return _centred(picture, Image.new("RGB", _around(*picture.size, _POSTER)))


def _centred(picture: Image.Image, poster: Image.Image) -> Image.Image:
    left = (poster.width - picture.width) // 2
    top = (poster.height - picture.height) // 2
    poster.paste(picture, (left, top))
    return poster


def _inside(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Return the largest size of *ratio* within *width* by *height*, or a pixel."""
    if width > height * ratio:
        return max(1, round(height * ratio)), height
    return width, max(1, round(width / ratio))


def _around(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Return the smallest size of *ratio* that holds *width* by *height*."""
    if width > height * ratio:
        return width, round(width / ratio)
    return round(height * ratio), height


def _original(picture: Image.Image) -> Image.Image:
    return picture


_SHAPES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "original": _original,
    "crop": _crop,
    "blur": _blur,
    "letterbox": _letterbox,
    "wide": _wide,
    "square": _square,
    "logo": _original,
}
_HEIC = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
_AVIF = frozenset({b"avif", b"avis"})
_JXL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
_MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
}
