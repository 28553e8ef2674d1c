"""Small pictures of whatever lies in a folder that calls itself a picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from synapse_skills.media import NoPicture, thumbnail
from synapse_skills.media import thumbnail as thumbnail_of
from synapse_skills.media.thumbnail import MAX_PIXELS


def written(picture: Image.Image, kind: str, **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    stream.seek(0)
    return stream


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
    image.load()
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_kind_becomes_a_small_jpeg_of_the_same_shape(kind):
    made = thumbnail(written(Image.new("RGB", (1200, 600), (10, 200, 30)), kind), 300)
    small = opened(made.jpeg)
    assert (made.width, made.height) == (1200, 600)
    assert (small.mode, small.size) == ("RGB", (300, 150))
    red, green, blue = small.getpixel((100, 100))
    assert green > 180
    assert max(red, blue) < 60


def test_a_small_picture_keeps_its_size():
    assert opened(thumbnail(written(Image.new("RGB", (20, 10)), "PNG")).jpeg).size == (20, 10)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode(mode):
    kind = "PNG" if mode in ("1", "L", "LA", "P", "RGBA", "I;16") else "TIFF"
    assert opened(thumbnail(written(Image.new(mode, (50, 40)), kind)).jpeg).size == (50, 40)


def test_sixteen_bits_are_scaled_and_not_cut_off():
    wide = Image.new("I;16", (2, 1))
    wide.putpixel((0, 0), 1000)
    wide.putpixel((1, 0), 3000)
    wide = wide.resize((64, 32), Image.Resampling.NEAREST)
    small = opened(thumbnail(written(wide, "PNG")).jpeg)
    assert small.getpixel((5, 5)) < 20
    assert small.getpixel((60, 5)) > 235


def test_transparent_is_white():
    small = opened(thumbnail(written(Image.new("RGBA", (30, 30), (0, 0, 0, 0)), "PNG")).jpeg)
    assert min(small.getpixel((15, 15))) > 250


def test_turned_as_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    made = thumbnail(written(Image.new("RGB", (400, 200)), "JPEG", exif=exif), 100)
    assert (made.width, made.height) == (200, 400)
    assert opened(made.jpeg).size == (50, 100)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff\xe0 not a jpeg", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture(content):
    with pytest.raises(NoPicture, match="can't be shown"):
        thumbnail_of(io.BytesIO(content))


def test_half_a_picture():
    whole = written(Image.effect_noise((200, 200), 80), "PNG").getvalue()
    with pytest.raises(NoPicture, match="can't be shown"):
        thumbnail(io.BytesIO(whole[: len(whole) // 2]))


def test_a_bomb_is_not_decoded():
    side = int(MAX_PIXELS**0.5) + 1
    bomb = written(Image.new("1", (side, side)), "PNG")
    assert len(bomb.getvalue()) < 100_000
    with pytest.raises(NoPicture, match="too large to show"):
        thumbnail(bomb)
