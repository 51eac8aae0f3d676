"""Pictures in the shapes that Plex shows: a poster is 2:3, Stash's covers are 16:9.

Pure functions from bytes to bytes. They take long; call them in a thread.
"""

from __future__ import annotations

import hashlib
import io
from typing import Literal

from PIL import Image, ImageFilter, ImageOps

Shape = Literal["crop", "blur", "letterbox", "original"]

_POSTER = 2 / 3
# Larger posters look the same in every client.
_MAX_HEIGHT = 1500
# So that a frame around a very wide picture stays small.
_MAX_SIDE = 4000
_QUALITY = 90
# A cover of more pixels is a mistake or an attack; Pillow would only warn.
_MAX_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None
_BLUR_RADIUS = 24


class NotAPicture(ValueError):
    """The bytes are no picture that we can read."""


def picture_hash(data: bytes, shape: Shape) -> str:
    """Name what *data* becomes in *shape*.

    The source is hashed, not the result, so that an update of the imaging library
    uploads nothing anew.
    """
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return f"{digest}:{shape}"


def shaped(data: bytes, shape: Shape) -> bytes:
    """Return *data* as a poster of *shape* (JPEG), or unchanged for ``original``.

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
    with Image.open(io.BytesIO(data)) as opened:
        if opened.width * opened.height > _MAX_PIXELS:
            raise NotAPicture("the picture has more than 100 million pixels")
        if shape == "original":
            opened.verify()
            return data
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    poster = _SHAPES[shape](picture)
    if poster.height > _MAX_HEIGHT:
        poster = poster.resize((round(_MAX_HEIGHT * _POSTER), _MAX_HEIGHT))
    written = io.BytesIO()
    poster.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _crop(picture: Image.Image) -> Image.Image:
    """Cut the middle out."""
    width, height = picture.size
    return ImageOps.fit(picture, _inside(width, height))


def _blur(picture: Image.Image) -> Image.Image:
    """Show the whole picture on a blurred enlargement of itself."""
    frame = _around(*picture.size)
    poster = ImageOps.fit(picture, frame).filter(ImageFilter.GaussianBlur(_BLUR_RADIUS))
    return _centred(picture, poster)


def _letterbox(picture: Image.Image) -> Image.Image:
    """Show the whole picture between black bars."""
    return _centred(picture, Image.new("RGB", _around(*picture.size)))


def _centred(picture: Image.Image, poster: Image.Image) -> Image.Image:
    left = (poster.width - picture.width) // 2
    top = (poster.height - picture.height) // 2
    poster.paste(picture, (left, top))
    return poster


def _inside(width: int, height: int) -> tuple[int, int]:
    """Return the largest 2:3 size within *width* by *height*, at least a pixel."""
    if width > height * _POSTER:
        return max(1, round(height * _POSTER)), height
    return width, max(1, round(width / _POSTER))


def _around(width: int, height: int) -> tuple[int, int]:
    """Return the smallest 2:3 size that holds *width* by *height*."""
    if width > height * _POSTER:
        return width, round(width / _POSTER)
    return round(height * _POSTER), height


_SHAPES = {"crop": _crop, "blur": _blur, "letterbox": _letterbox}
