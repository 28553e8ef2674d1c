"""Pictures of every kind as PNG and JPEG: the values, not only the file."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from synapse_sdk.utils.file.content_guard import inspect_file

from media.made import converted, inks_profile, noise, saved, tiff, turned, values
from synapse_skills.media import ConversionFailed, convert, pictures

RGB = noise((31, 47, 3))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def smooth(channels: int = 3) -> np.ndarray:
    """A picture that JPEG hardly changes."""
    ramp = np.linspace(20, 235, 64).astype(np.uint8)
    return np.stack([np.tile(ramp, (48, 1)), np.full((48, 64), 90, np.uint8), np.tile(ramp[::-1], (48, 1))], axis=2)[
        ..., :channels
    ]


def is_near(found: np.ndarray, wanted: np.ndarray, off: int = 6) -> bool:
    return found.shape == wanted.shape and int(np.abs(found.astype(int) - wanted.astype(int)).max()) <= off


@pytest.mark.parametrize("suffix", [".tiff", ".tif", ".bmp", ".webp"])
def test_colour_is_the_same_to_the_last_bit_in_a_png(tmp_path, suffix):
    kind = {".tiff": "TIFF", ".tif": "TIFF", ".bmp": "BMP", ".webp": "WEBP"}[suffix]
    options = {"lossless": True} if kind == "WEBP" else {}
    out, made = converted(tmp_path, saved(Image.fromarray(RGB), kind, **options), suffix, ".png")
    assert np.array_equal(values(out), RGB)
    assert made.notes == ()
    assert inspect_file(out) == []


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "WEBP", "PNG"])
def test_a_jpeg_is_near(tmp_path, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    out, made = converted(tmp_path, saved(Image.fromarray(smooth()), kind, **options), f".{kind.lower()}", ".jpg")
    assert is_near(values(out), smooth())
    assert made.notes == ()
    assert inspect_file(out) == []


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
def test_sixteen_bits_of_grey_stay_in_a_png(tmp_path, compression):
    wide = noise((30, 40), 65536, np.uint16)
    out, made = converted(tmp_path, saved(Image.fromarray(wide), "TIFF", compression=compression), ".tiff", ".png")
    assert values(out).dtype == np.uint16
    assert np.array_equal(values(out), wide)
    assert made.notes == ("16 bit kept",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_in_both_byte_orders(tmp_path, order, channels):
    wide = noise((30, 41, channels), 65536, np.uint16)
    wide = wide[..., 0] if channels == 1 else wide
    out, made = converted(tmp_path, tiff(wide, order=order), ".tiff", ".png")
    assert np.array_equal(values(out), wide)
    assert made.notes == ("16 bit kept",)


def test_sixteen_bits_of_colour_compressed(tmp_path):
    wide = noise((100, 60, 3), 65536, np.uint16)
    _, content = cv2.imencode(".tiff", wide[..., ::-1])
    out, _ = converted(tmp_path, content.tobytes(), ".tiff", ".png")
    assert np.array_equal(values(out), wide)


def test_planes_one_after_the_other(tmp_path):
    out, _ = converted(tmp_path, tiff(RGB, planar=True), ".tiff", ".png")
    assert np.array_equal(values(out), RGB)


def test_sixteen_bits_in_planes_are_right_or_refused(tmp_path):
    wide = noise((30, 41, 3), 65536, np.uint16)
    try:
        out, _ = converted(tmp_path, tiff(wide, planar=True), ".tiff", ".png")
    except ConversionFailed:
        return
    assert np.array_equal(values(out), wide)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_is_turned_as_it_says(tmp_path, orientation, kind, channels):
    stored = noise((20, 33, channels), 256 ** np.dtype(kind).itemsize, kind)
    stored = stored[..., 0] if channels == 1 else stored
    out, made = converted(tmp_path, tiff(stored, orientation=orientation), ".tiff", ".png")
    assert np.array_equal(values(out), turned(stored, orientation))
    assert ("turned as its EXIF says" in made.notes) == (orientation != 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "target"), [("WEBP", ".png"), ("PNG", ".jpg"), ("JPEG", ".png")])
def test_exif_is_applied_and_not_applied_twice(tmp_path, orientation, kind, target):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    content = saved(Image.fromarray(smooth()), kind, exif=exif, **options)
    out, _ = converted(tmp_path, content, f".{kind.lower()}", target)
    assert is_near(values(out), turned(smooth(), orientation), 12)
    with Image.open(out) as again:
        assert again.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_zero_may_be_white(tmp_path, kind, top):
    stored = noise((20, 30), top + 1, kind)
    out, _ = converted(tmp_path, tiff(stored, photometric=0), ".tiff", ".png")
    assert np.array_equal(values(out), top - stored)


@pytest.mark.parametrize(("top", "bits"), [(255, 8), (1023, 10), (4095, 12), (16383, 14), (65535, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_more_bits_are_scaled_in_a_jpeg_and_said(tmp_path, top, bits, channels):
    ramp = np.tile(np.linspace(0, top, 256).astype(np.uint16), (64, 1))
    stored = ramp if channels == 1 else np.stack([ramp] * 3, axis=2)
    out, made = converted(tmp_path, tiff(stored), ".tiff", ".jpg")
    wanted = np.round(stored / top * 255).astype(np.uint8)
    assert is_near(values(out), wanted, 3)
    assert made.notes == (f"16 bit scaled to 8 bit ({bits} bit used)",)


def test_a_palette_stays_a_palette(tmp_path):
    """Of a mask the numbers count, not the colours."""
    numbers = noise((20, 30), 5)
    mask = Image.new("P", (30, 20))
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128])
    mask.putdata([int(each) for each in numbers.flat])
    out, made = converted(tmp_path, saved(mask, "TIFF"), ".tiff", ".png")
    with Image.open(out) as found:
        assert found.mode == "P"
        assert np.array_equal(np.asarray(found), numbers)
        assert np.array_equal(np.asarray(found.convert("RGB")), np.asarray(mask.convert("RGB")))
    assert made.notes == ()


def clear_gif() -> tuple[bytes, np.ndarray]:
    numbers = np.zeros((20, 30), np.uint8)
    numbers[:, 10:20], numbers[:, 20:] = 1, 2
    picture = Image.new("P", (30, 20))
    picture.putpalette([255, 0, 0, 0, 200, 0, 0, 0, 0])
    picture.putdata([int(each) for each in numbers.flat])
    return saved(picture, "GIF", transparency=2), numbers


def test_a_clear_palette_stays_clear_in_a_png(tmp_path):
    content, numbers = clear_gif()
    out, _ = converted(tmp_path, content, ".gif", ".png")
    with Image.open(out) as found:
        shown = np.asarray(found.convert("RGBA"))
    assert (shown[..., 3] == np.where(numbers == 2, 0, 255)).all()
    assert shown[0, 0].tolist() == [255, 0, 0, 255]
    assert shown[0, 15].tolist() == [0, 200, 0, 255]


def test_a_clear_palette_is_white_in_a_jpeg(tmp_path):
    content, _ = clear_gif()
    out, made = converted(tmp_path, content, ".gif", ".jpg")
    assert is_near(values(out)[10, 27], np.array([255, 255, 255], np.uint8), 8)
    assert is_near(values(out)[10, 3], np.array([255, 0, 0], np.uint8), 12)
    assert made.notes == ("transparency on white",)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_stays_in_a_png_and_is_white_in_a_jpeg(tmp_path, mode):
    shown = np.full((32, 64, 4), 60, np.uint8)
    shown[:, :32, 3], shown[:, 32:, 3] = 255, 0
    picture = Image.fromarray(shown, "RGBA")
    content = saved(picture if mode == "RGBA" else picture.convert("LA"), "PNG" if mode == "LA" else "TIFF")
    (tmp_path / "a").mkdir()
    out, made = converted(tmp_path / "a", content, ".tiff", ".png")
    with Image.open(out) as found:
        assert found.mode == mode
        assert np.array_equal(np.asarray(found.convert("RGBA")), shown)
    assert ("it is a PNG inside" in made.notes) == (mode == "LA")
    (tmp_path / "b").mkdir()
    out, made = converted(tmp_path / "b", content, ".tiff", ".jpg")
    found = values(out)
    assert found.ndim == (3 if mode == "RGBA" else 2)
    assert abs(int(found[16, 8].max()) - 60) < 4
    assert int(found[16, 56].min()) > 250
    assert "transparency on white" in made.notes


def test_an_alpha_that_hides_nothing_is_not_worth_a_note(tmp_path):
    out, made = converted(tmp_path, saved(Image.fromarray(smooth()).convert("RGBA"), "PNG"), ".png", ".jpg")
    assert made.notes == ()
    assert is_near(values(out), smooth())


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("TIFF", ".tiff")])
def test_inks_are_the_right_way_round(tmp_path, kind, suffix):
    """Adobe's JPEGs hold inks inverted: taken as they lie, paper would be black."""
    inks = np.zeros((32, 64, 4), np.uint8)
    inks[:, 32:, 0] = 255
    out, made = converted(tmp_path, saved(Image.fromarray(inks, "CMYK"), kind), suffix, ".png")
    assert values(out)[16, 8].min() > 250
    red, green, blue = values(out)[16, 56].tolist()
    assert red < 10 and min(green, blue) > 240
    assert made.notes == ("CMYK to RGB without a profile: colours are near, not exact",)


@pytest.mark.parametrize("target", [".png", ".jpg"])
def test_inks_with_a_profile_are_what_the_profile_says(tmp_path, target):
    inks = np.zeros((32, 64, 4), np.uint8)
    inks[:, 32:, 3] = 255
    content = saved(Image.fromarray(inks, "CMYK"), "TIFF", icc_profile=inks_profile(paper=255, ink=128))
    out, made = converted(tmp_path, content, ".tiff", target)
    found = values(out)
    assert int(found[16, 8].min()) > 245
    # Half of full lightness; without the profile it would be black.
    assert 105 < int(found[16, 56].min()) <= int(found[16, 56].max()) < 135
    assert made.notes == ("CMYK to sRGB by its profile",)
    with Image.open(out) as again:
        assert "icc_profile" not in again.info


def test_inks_with_a_damaged_profile(tmp_path):
    content = saved(Image.new("CMYK", (20, 20)), "TIFF", icc_profile=inks_profile(255, 0)[:200])
    out, made = converted(tmp_path, content, ".tiff", ".png")
    assert values(out).min() == 255
    assert made.notes[0].startswith("CMYK to RGB without a profile")


def test_one_bit(tmp_path):
    bits = Image.fromarray(noise((20, 33), 2) * 255).convert("1")
    for number, (photometric, target) in enumerate([(0, ".png"), (1, ".png"), (1, ".jpg")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = saved(bits, "TIFF", tiffinfo={262: photometric})
        with Image.open(io.BytesIO(content)) as again:
            wanted = np.asarray(again.convert("L"))
        out, _ = converted(folder, content, ".tiff", target)
        found = values(out)
        assert found.ndim == 2
        assert np.array_equal(found > 127, wanted > 127)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), "fractions"),
        (np.array([[-1.0, 2.0]], np.float32), "do not fit in 16 bits"),
        (np.array([[0.0, np.nan]], np.float32), "do not fit in 16 bits"),
        (np.array([[0.0, np.inf]], np.float32), "do not fit in 16 bits"),
        (np.array([[0, 65536]], np.int32), "do not fit in 16 bits"),
        (np.array([[-1, 5]], np.int32), "do not fit in 16 bits"),
        (np.array([[-7, 5]], np.int16), "do not fit in 16 bits"),
    ],
)
@pytest.mark.parametrize("target", [".png", ".jpg"])
def test_values_that_do_not_fit_are_refused_and_never_guessed(tmp_path, stored, said, target):
    sample_format = 3 if stored.dtype.kind == "f" else 2
    with pytest.raises(ConversionFailed, match=said):
        converted(tmp_path, tiff(stored, sample_format=sample_format), ".tiff", target)
    assert not (tmp_path / f"result{target}").exists()


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.int16])
def test_whole_values_that_fit_are_kept(tmp_path, kind):
    stored = noise((10, 12), 30_000, kind)
    content = tiff(stored, sample_format=3 if kind is np.float32 else 2)
    out, made = converted(tmp_path, content, ".tiff", ".png")
    assert np.array_equal(values(out), stored.astype(np.uint16))
    assert "16 bit kept" in made.notes
    assert len(made.notes) == 2


@pytest.mark.parametrize(
    "content",
    [
        saved(Image.fromarray(smooth()), "TIFF", icc_profile=SRGB),
        saved(Image.fromarray(smooth()).convert("P"), "TIFF", icc_profile=SRGB),
        tiff(noise((10, 12, 3), 65536, np.uint16), profile=SRGB),
    ],
    ids=["rgb", "palette", "wide"],
)
@pytest.mark.parametrize("target", [".png", ".jpg"])
def test_a_profile_goes_along(tmp_path, content, target):
    out, made = converted(tmp_path, content, ".tiff", target)
    with Image.open(out) as again:
        again.load()
        assert again.info["icc_profile"] == SRGB
    assert not any("profile" in note for note in made.notes)
    assert inspect_file(out) == []


@pytest.mark.parametrize("profile", [SRGB, b"no profile at all"])
@pytest.mark.parametrize("target", [".png", ".jpg"])
def test_a_profile_of_something_else_is_left_out_and_said(tmp_path, profile, target):
    content = saved(Image.new("L", (9, 9), 70), "TIFF", icc_profile=profile)
    out, made = converted(tmp_path, content, ".tiff", target)
    with Image.open(out) as again:
        assert "icc_profile" not in again.info
    assert made.notes == ("colour profile left out: damaged, too large or of another colour space",)


@pytest.mark.parametrize(
    ("kind", "note"), [("TIFF", "first of 3 pages"), ("GIF", "first of 3 frames"), ("WEBP", "first of 3 frames")]
)
@pytest.mark.parametrize("target", [".png", ".jpg"])
def test_the_first_of_several(tmp_path, kind, note, target):
    several = [Image.new("RGB", (24, 16), colour) for colour in ((200, 30, 30), (30, 200, 30), (30, 30, 200))]
    content = saved(several[0], kind, save_all=True, append_images=several[1:])
    out, made = converted(tmp_path, content, f".{kind.lower()}", target)
    with Image.open(out) as found:
        red, green, blue = found.convert("RGB").getpixel((10, 10))
    assert red > 180 and max(green, blue) < 60
    assert made.notes == (note,)


CUT = {
    "tiff": tiff(noise((60, 80, 3))),
    "lzw": saved(Image.fromarray(noise((60, 80, 3))), "TIFF", compression="tiff_lzw"),
    "wide": tiff(noise((60, 80, 3), 65536, np.uint16)),
    "bmp": saved(Image.fromarray(noise((60, 80, 3))), "BMP"),
    "webp": saved(Image.fromarray(noise((60, 80, 3))), "WEBP", lossless=True),
    "gif": saved(Image.fromarray(noise((60, 80))), "GIF"),
    "png": saved(Image.fromarray(noise((60, 80, 3))), "PNG"),
    "jpg": saved(Image.fromarray(noise((60, 80, 3))), "JPEG"),
}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_off_gives_no_half_picture(tmp_path, name, share):
    suffix = f".{name}" if name not in ("lzw", "wide") else ".tiff"
    target = ".jpg" if name == "png" else ".png"
    source, content = tmp_path / "cut", CUT[name]
    source.write_bytes(content[: int(len(content) * share)])
    with source.open("rb") as stream, pytest.raises(ConversionFailed) as failed:
        convert(stream, suffix, tmp_path / f"result{target}")
    assert failed.value.code == "conversion-failed"
    assert "\n" not in str(failed.value) and len(str(failed.value)) < 250
    assert list(tmp_path.iterdir()) == [source]


def test_a_tiff_whose_pixels_are_missing_behind_its_directory(tmp_path):
    """The directory first, as many writers have it: what is cut off then are pixels."""
    for kind in (np.uint8, np.uint16):
        whole = tiff(noise((60, 80, 3), 255, kind))
        at = struct.unpack("<I", whole[4:8])[0]
        pixels, rest = whole[8:at], whole[at:]
        # Move the pixels behind all else and point to them.
        start = 8 + len(rest)
        moved = bytearray(b"II*\0" + struct.pack("<I", 8) + rest)
        for number in range(struct.unpack("<H", rest[:2])[0]):
            entry = 8 + 2 + 12 * number
            tag, form, count = struct.unpack("<HHI", moved[entry : entry + 8])
            if tag == 273:
                moved[entry + 8 : entry + 12] = struct.pack("<I", start)
            elif count * (2 if form == 3 else 4) > 4:
                (old,) = struct.unpack("<I", moved[entry + 8 : entry + 12])
                moved[entry + 8 : entry + 12] = struct.pack("<I", old - at + 8)
        folder = tmp_path / np.dtype(kind).name
        folder.mkdir()
        out, _ = converted(folder, bytes(moved) + pixels, ".tiff", ".png")
        assert values(out).shape == (60, 80, 3)
        with pytest.raises(ConversionFailed):
            converted(folder, bytes(moved) + pixels[:-500], ".tiff", ".png")


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "suffix", "target"),
    [
        (png_that_claims(13_000, 13_000), ".png", ".jpg"),
        (png_that_claims(60_000, 60_000), ".png", ".jpg"),
        (
            b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\2\1\0\0;",
            ".gif",
            ".png",
        ),
        (
            saved(Image.new("RGB", (2, 2)), "BMP")[:18] + struct.pack("<iihhi", 40_000, 40_000, 1, 24, 0) + bytes(90),
            ".bmp",
            ".png",
        ),
    ],
    ids=["png", "larger png", "gif", "bmp"],
)
def test_a_bomb_is_refused_and_the_limit_said(tmp_path, content, suffix, target):
    with pytest.raises(ConversionFailed, match=r"at most 150,000,000"):
        converted(tmp_path, content, suffix, target)


def test_a_side_that_jpeg_can_not_have(tmp_path):
    long = saved(Image.new("L", (65_501, 2)), "PNG")
    with pytest.raises(ConversionFailed, match="do not fit in a JPEG"):
        converted(tmp_path, long, ".png", ".jpg")


def test_wide_colour_in_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_WIDE_BYTES", 100)
    with pytest.raises(ConversionFailed, match="16-bit colour in a file above"):
        converted(tmp_path, tiff(noise((30, 40, 3), 65536, np.uint16)), ".tiff", ".png")


def test_wide_colour_of_too_many_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_WIDE_PIXELS", 1199)
    with pytest.raises(ConversionFailed, match="16-bit colour is converted up to 1,199 pixels"):
        converted(tmp_path, tiff(noise((30, 40, 3), 65536, np.uint16)), ".tiff", ".png")


def test_readers_that_disagree_are_not_believed(tmp_path, monkeypatch):
    wide = noise((30, 40, 3), 65536, np.uint16)
    decoded = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *args: decoded(*args) ^ 0x8000)
    with pytest.raises(ConversionFailed, match="disagree"):
        converted(tmp_path, tiff(wide), ".tiff", ".png")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\0" * 1000, b"<html></html>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_picture(tmp_path, content):
    """PostScript among it: Pillow would start another program for that."""
    with pytest.raises(ConversionFailed, match="no picture of a kind"):
        converted(tmp_path, content, ".tiff", ".png")


def test_channels_that_nobody_can_show(tmp_path):
    with pytest.raises(ConversionFailed):
        converted(tmp_path, tiff(noise((10, 10, 7)), photometric=1), ".tiff", ".png")


def test_the_same_bytes_again(tmp_path):
    made = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        made.append([converted(folder, CUT["tiff"], ".tiff", target)[0].read_bytes() for target in (".png",)])
    assert made[0] == made[1]


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_twelve_bits_of_colour_are_scaled_alike_whatever_file_they_come_in(tmp_path, kind):
    wide = noise((30, 41, 3), 4096, np.uint16)
    _, content = cv2.imencode(kind, wide[..., ::-1])
    out, made = converted(tmp_path, content.tobytes(), kind, ".jpg")
    assert made.notes == ("16 bit scaled to 8 bit (12 bit used)",)
    assert abs(values(out).mean() - wide.mean() / 16) < 2
