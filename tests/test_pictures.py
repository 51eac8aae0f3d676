"""Poster shapes."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys

import pytest
from PIL import Image

from stash2plex.pictures import NotAPicture, picture_hash, shaped, shaped_aside


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
    text.add_text("workflow", "x" * 30_000_000, zip=True)
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


EVERY = ["crop", "blur", "letterbox", "original", "wide", "square", "logo"]


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **how)
    return written.getvalue()


def opened(data: bytes) -> Image.Image:
    """Return a picture wholly read, in colours, and see that it is a plain one."""
    with Image.open(io.BytesIO(data)) as found:
        assert found.format in {"JPEG", "PNG", "WEBP"}
        assert found.mode in {"RGB", "L", "RGBA"}
        assert getattr(found, "n_frames", 1) == 1
        assert found.getexif().get(0x0112, 1) == 1
        return found.convert("RGB")


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


# A wide picture, red on its left side, for whatever has to be made of it.
WIDE = Image.new("RGB", (1600, 900), (0, 0, 255))
WIDE.paste((255, 0, 0), (0, 0, 400, 900))
ODD = {
    "turned": saved(WIDE.rotate(180), "JPEG", exif=exif(3)),
    "AVIF": saved(WIDE, "AVIF"),
    "BMP": saved(WIDE, "BMP"),
    "GIF": saved(WIDE, "GIF"),
    "CMYK": saved(WIDE.convert("CMYK"), "JPEG"),
    "palette": saved(WIDE.quantize(8), "PNG"),
    "animated PNG": saved(
        WIDE, "PNG", save_all=True, append_images=[Image.new("RGB", WIDE.size)]
    ),
    "animated WebP": saved(
        WIDE, "WEBP", save_all=True, append_images=[Image.new("RGB", WIDE.size)]
    ),
    "animated GIF": saved(
        WIDE, "GIF", save_all=True, append_images=[Image.new("RGB", WIDE.size)]
    ),
}


@pytest.mark.parametrize("shape", ["original", "wide"])
@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_is_not_plain_is_made_so(shape, data):
    made = opened(shaped(data, shape))
    assert made.size == WIDE.size
    red, _, blue = made.getpixel((100, 450))
    assert (red > 180, blue < 80) == (True, True)
    red, _, blue = made.getpixel((1500, 450))
    assert (red < 80, blue > 180) == (True, True)


PLAIN = {
    "JPEG": saved(WIDE, "JPEG"),
    "grey JPEG": saved(WIDE.convert("L"), "JPEG"),
    "PNG": saved(WIDE, "PNG"),
    "WebP": saved(WIDE, "WEBP"),
}


@pytest.mark.parametrize("shape", ["original", "wide", "logo"])
@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_what_is_plain_stays_as_it_is(shape, data):
    assert shaped(data, shape) is data


@pytest.mark.parametrize("shape", EVERY)
def test_grey_of_16_bits_is_scaled(shape):
    grey = Image.new("I;16", (1600, 900), 0x8000)
    made = opened(shaped(saved(grey, "PNG"), shape))
    assert 120 <= made.getpixel((made.width // 2, made.height // 2))[0] <= 136


@pytest.mark.parametrize("shape", [one for one in EVERY if one != "logo"])
@pytest.mark.parametrize(
    ("seen", "ground"), [((250, 250, 250), "dark"), ((10, 10, 10), "light")]
)
def test_what_is_transparent_shows_a_ground_that_fits(shape, seen, ground):
    # What is hidden is of a colour that must never be seen.
    picture = Image.new("RGBA", (1600, 900), (255, 0, 255, 0))
    picture.paste((*seen, 255), (700, 400, 900, 500))
    made = opened(shaped(saved(picture, "PNG"), shape))
    around = made.getpixel((made.width // 2, made.height // 2 - made.height // 8))
    assert max(around) - min(around) < 12  # nothing of the hidden colour
    assert (around[0] < 90) == (ground == "dark")


def test_a_logo_stays_transparent():
    picture = Image.new("RGBA", (400, 200), (255, 0, 255, 0))
    data = saved(picture, "PNG")
    assert shaped(data, "logo") is data
    with Image.open(io.BytesIO(shaped(saved(picture, "GIF"), "logo"))) as made:
        assert (made.format, made.mode) == ("PNG", "RGBA")
        assert made.getpixel((5, 5))[3] == 0


@pytest.mark.parametrize("shape", EVERY)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_truncated_is_refused(shape, kind):
    noise = Image.effect_noise((1600, 900), 90)
    data = saved(noise.convert("RGB"), kind)
    with pytest.raises(NotAPicture, match=f"the {kind} is damaged"):
        shaped(data[: len(data) // 2], shape)


def test_a_huge_photograph_is_read_reduced():
    """Of 120 megapixels: JPEG can be read at a half, a quarter or an eighth."""
    huge = saved(Image.new("L", (12_000, 10_000), 90), "JPEG")
    assert size(shaped(huge, "crop")) == (1000, 1500)
    assert max(size(shaped(huge, "original"))) <= 4000


@pytest.mark.parametrize(
    ("kind", "how"), [("PNG", {}), ("JPEG", {"progressive": True})]
)
def test_other_huge_pictures_are_refused_with_a_remedy(kind, how):
    huge = saved(Image.new("L", (12_000, 10_000), 90), kind, **how)
    wanted = f"the {kind} has 120 million pixels, more than 40; choose a smaller one"
    with pytest.raises(NotAPicture, match=wanted):
        shaped(huge, "crop")


def test_a_format_that_cannot_be_read_is_named():
    heic = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(200)
    wanted = "HEIC cannot be read here; save it as JPEG, PNG or WebP in Stash"
    with pytest.raises(NotAPicture, match=wanted):
        shaped(heic, "crop")
    with pytest.raises(NotAPicture, match="a web page, not a picture"):
        shaped(b"<!DOCTYPE html><html></html>", "crop")


async def test_a_huge_picture_keeps_nobody_waiting():
    """Those are shaped one by one, aside from all others."""
    huge = saved(Image.new("RGB", (7300, 5400)), "PNG")
    slow = [asyncio.create_task(shaped_aside(huge, "blur")) for _ in range(3)]
    small = [asyncio.create_task(shaped_aside(picture(320, 180), "crop")) for _ in "12"]
    done, _ = await asyncio.wait({*slow, *small}, return_when=asyncio.FIRST_COMPLETED)
    assert done <= set(small)
    await asyncio.gather(*small)
    assert not any(one.done() for one in slow[1:])
    await asyncio.gather(*slow)


@pytest.mark.parametrize("shape", ["crop", "blur", "letterbox", "square"])
def test_other_colour_spaces_become_the_common_one(shape):
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    grey = saved(Image.new("RGB", (1600, 900), (90, 90, 90)), "PNG", icc_profile=lab)
    with Image.open(io.BytesIO(shaped(grey, shape))) as made:
        assert "icc_profile" not in made.info


def test_a_transparent_logo_of_grey_keeps_no_profile_of_grey():
    logo = Image.new("LA", (400, 200), (200, 0))
    data = saved(logo, "PNG", icc_profile=b"no profile at all")
    with Image.open(io.BytesIO(shaped(data, "logo"))) as made:
        assert made.mode == "RGBA"
        assert "icc_profile" not in made.info


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_what_programs_write_into_pictures_damages_none():
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    data = saved(WIDE, "PNG", pnginfo=text)
    assert shaped(data, "wide") is data
    junk = saved(WIDE, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert size(shaped(junk, "crop")) == (600, 900)
    assert shaped(junk, "wide") is junk


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_right(orientation):
    upright = Image.new("RGB", (400, 608), (0, 0, 255))
    upright.paste((255, 0, 0), (0, 0, 400, 112))  # above
    upright.paste((0, 255, 0), (0, 0, 112, 608))  # on the left
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    turned = upright.transpose(back) if back is not None else upright
    data = saved(turned, "JPEG", exif=exif(orientation), quality=95)
    made = opened(shaped(data, "crop"))
    assert made.size == (400, 600)
    assert made.getpixel((300, 30))[0] > 200
    assert made.getpixel((30, 400))[1] > 200
    assert made.getpixel((300, 500))[2] > 200
