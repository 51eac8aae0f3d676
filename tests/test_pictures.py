"""Poster shapes."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import Image

from stash2plex.pictures import NotAPicture, picture_hash, shaped


def picture(width: int, height: int, kind: str = "JPEG") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(written, kind)
    return written.getvalue()


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.size


@pytest.mark.parametrize("shape", ["crop", "blur", "letterbox"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(1920, 1080), (320, 180), (1000, 1500), (100, 1000), (1, 1), (3, 2)],
)
def test_a_poster_is_two_by_three(shape, width, height):
    poster_width, poster_height = size(shaped(picture(width, height), shape))

    assert poster_height <= 1500
    assert abs(poster_width - poster_height * 2 / 3) <= 1


def test_crop_takes_the_middle():
    wide = Image.new("RGB", (300, 100), (0, 0, 255))
    wide.paste((255, 0, 0), (117, 0, 183, 100))
    written = io.BytesIO()
    wide.save(written, "PNG")

    with Image.open(io.BytesIO(shaped(written.getvalue(), "crop"))) as poster:
        red, _, blue = poster.convert("RGB").getpixel((poster.width // 2, 50))
    assert red > 200
    assert blue < 60


def test_letterbox_shows_everything_between_bars():
    with Image.open(io.BytesIO(shaped(picture(320, 180), "letterbox"))) as poster:
        assert max(poster.convert("RGB").getpixel((160, 5))) < 20
        assert poster.convert("RGB").getpixel((160, poster.height // 2))[0] > 150


def test_original_is_left_alone():
    data = picture(320, 180, "PNG")

    assert shaped(data, "original") is data


@pytest.mark.parametrize("shape", ["crop", "original"])
@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xffbroken", b"<svg/>"])
def test_what_is_no_picture_is_refused(shape, data):
    with pytest.raises(NotAPicture):
        shaped(data, shape)


def test_whatever_pillow_raises_is_no_bug_of_ours():
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    written = io.BytesIO()
    Image.new("RGB", (4, 4)).save(written, "PNG", pnginfo=text)

    with pytest.raises(NotAPicture, match="ValueError"):
        shaped(written.getvalue(), "crop")


@pytest.mark.parametrize("shape", ["crop", "blur", "letterbox"])
def test_a_very_wide_picture_makes_no_giant(shape):
    width, height = size(shaped(picture(30_000, 1_000), shape))

    assert height <= 1500
    assert width <= 1000


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "LA", "I;16"])
def test_a_large_picture_of_every_mode(mode):
    written = io.BytesIO()
    Image.new(mode, (4500, 3000)).save(written, "PNG")

    assert size(shaped(written.getvalue(), "crop")) == (1000, 1500)


def test_a_large_photograph_is_turned_the_right_way_up():
    source = Image.new("RGB", (6000, 3000))
    source.paste((255, 0, 0), (0, 0, 3000, 3000))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise
    written = io.BytesIO()
    source.save(written, "JPEG", exif=exif)

    with Image.open(io.BytesIO(shaped(written.getvalue(), "letterbox"))) as poster:
        assert poster.height == 1500
        assert poster.getpixel((poster.width // 2, 20))[0] > 200
        assert poster.getpixel((poster.width // 2, 1480))[0] < 20


def test_a_picture_of_too_many_pixels_is_refused():
    huge = io.BytesIO()
    Image.new("1", (20_000, 6_000)).save(huge, "PNG")

    with pytest.raises(NotAPicture):
        shaped(huge.getvalue(), "crop")


def test_the_hash_is_of_the_source_and_the_shape():
    data = picture(4, 4)

    assert picture_hash(data, "crop") == picture_hash(data, "crop")
    assert picture_hash(data, "crop") != picture_hash(data, "blur")
    assert picture_hash(data, "crop").endswith(":crop")


@pytest.mark.parametrize("kind", ["EPS", "ICO", "PPM"])
def test_only_what_covers_are_is_read(kind):
    """Pillow hands PostScript to another program."""
    file = io.BytesIO()
    Image.new("RGB", (64, 36), "red").save(file, kind)
    for shape in ("crop", "original"):
        with pytest.raises(NotAPicture):
            shaped(file.getvalue(), shape)


_TWO_AT_ONCE = """
import resource, sys, threading
from stash2plex.pictures import shaped
data = open(sys.argv[1], "rb").read()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
both = [threading.Thread(target=shaped, args=(data, sys.argv[2])) for _ in "12"]
for one in both:
    one.start()
for one in both:
    one.join()
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("shape", ["crop", "blur", "letterbox", "wide"])
def test_two_covers_just_under_the_limit_take_little_memory(tmp_path, kind, shape):
    """In megabytes: one whole picture of 40 megapixels takes 160."""
    file = tmp_path / "cover"
    mode = "RGBA" if kind == "PNG" else "RGB"
    Image.new(mode, (7300, 5470), "red").save(file, kind)
    words = [sys.executable, "-c", _TWO_AT_ONCE, str(file), shape]

    done = subprocess.run(words, capture_output=True, text=True, check=True)

    assert int(done.stdout) < 450


@pytest.mark.parametrize("rotated", [False, True])
def test_a_huge_cover_keeps_its_colours_and_its_way_up(rotated):
    cover = Image.new("RGB", (7300, 5470), "red")
    cover.paste("blue", (0, 0, 7300, 2735))  # above
    written = io.BytesIO()
    exif = Image.Exif()
    if rotated:
        cover = cover.rotate(90, expand=True)
        exif[0x0112] = 6
    cover.save(written, "JPEG", exif=exif)

    with Image.open(io.BytesIO(shaped(written.getvalue(), "crop"))) as poster:
        assert poster.size == (1000, 1500)
        top, bottom = poster.getpixel((500, 100)), poster.getpixel((500, 1400))
    assert (top[0] < 50, top[2] > 200) == (True, True)
    assert (bottom[0] > 200, bottom[2] < 50) == (True, True)
