"""Pictures in the shapes that Plex shows: a poster is 2:3, a background 16:9.

Functions from bytes to bytes. They take long and much memory: `shaped_aside` has a
thread do it, and never many at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Literal

from PIL import Image, ImageFilter, ImageOps

# Posters are cropped, blurred, letterboxed or left alone; backgrounds are wide.
Shape = Literal["crop", "blur", "letterbox", "original", "wide", "square"]

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
# A cover of more pixels is a mistake or an attack; Pillow would only warn.
_MAX_PIXELS = 40_000_000
Image.MAX_IMAGE_PIXELS = None
_BLUR_RADIUS = 24
# What covers are. Pillow would hand PostScript to another program, and read the inside
# of an icon before anybody could ask how large it is.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")


# Pictures of more pixels are read one at a time.
_LARGE = 12_000_000
_LARGE_ONE = threading.Lock()
# So that two covers of usual size are shaped at once.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="pictures")


class NotAPicture(ValueError):
    """The bytes are no picture that we can read."""


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
    return await loop.run_in_executor(_THREADS, shaped, data, shape)


def shaped(data: bytes, shape: Shape) -> bytes:
    """Return *data* in *shape*, as JPEG.

    It is unchanged for ``original``, and for ``wide`` when it is that, if it is not
    huge.
    Raises `NotAPicture`.
    """
    try:
        return _shaped(data, shape)
    except NotAPicture:
        raise
    except (Exception, MemoryError) as error:  # Pillow raises all sorts
        msg = f"the bytes are not a picture ({type(error).__name__})"
        raise NotAPicture(msg) from error


def _shaped(data: bytes, shape: Shape) -> bytes:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        if opened.width * opened.height > _MAX_PIXELS:
            raise NotAPicture("the picture has more than 40 million pixels")
        is_light = shape == "original" and len(data) <= _MAX_BYTES
        if is_light or (shape == "wide" and _is_fit(opened, data)):
            opened.verify()
            return data
        is_large = opened.width * opened.height > _LARGE
        with _LARGE_ONE if is_large else nullcontext():
            return _reshaped(opened, shape)


def _reshaped(opened: Image.Image, shape: Shape) -> bytes:
    poster = _SHAPES[shape](_small(opened))
    if poster.height > _MAX_HEIGHT:
        poster.thumbnail((_MAX_SIDE, _MAX_HEIGHT))
    written = io.BytesIO()
    poster.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _small(opened: Image.Image) -> Image.Image:
    """Read a picture the right way up, in colours, and no larger than is of use.

    Whole pictures are dropped as soon as there is something smaller: one of 40
    megapixels takes 160 MB, and some decoders two copies beside it.
    """
    # What is left is still twice as large as the poster will be.
    factor = max(1, min(opened.size) // _MAX_HEIGHT)
    opened.draft("RGB", (opened.width // factor, opened.height // factor))
    # What has few colours, or odd ones, has none in between; transparency goes anyway.
    picture = opened if opened.mode in {"RGB", "L"} else opened.convert("RGB")
    if picture is not opened:
        opened.close()
    factor = max(1, min(picture.size) // _MAX_HEIGHT)
    if factor > 1:
        whole, picture = picture, picture.reduce(factor)
        whole.close()
        largest = round(_MAX_HEIGHT * _WIDE)
        picture.thumbnail((largest, largest))
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    ImageOps.exif_transpose(picture, in_place=True)
    return picture.convert("RGB")


def content_type(data: bytes) -> str:
    """Return the media type of a picture, by its first bytes."""
    for start, kind in _MAGIC.items():
        if data.startswith(start):
            return kind
    return "application/octet-stream"


def _is_fit(picture: Image.Image, data: bytes) -> bool:
    """Whether a cover is a background as it is."""
    ratio = picture.width / picture.height
    return (
        abs(ratio / _WIDE - 1) <= _NEARLY
        and max(picture.size) <= _MAX_SIDE
        and len(data) <= _MAX_BYTES
    )


def _crop(picture: Image.Image, ratio: float = _POSTER) -> Image.Image:
    """Cut the middle out."""
    return ImageOps.fit(picture, _inside(*picture.size, ratio))


def _square(picture: Image.Image) -> Image.Image:
    return _crop(picture, _SQUARE)


def _wide(picture: Image.Image) -> Image.Image:
    return _blur(picture, _WIDE)


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
}
_MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
}
