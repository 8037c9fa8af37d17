"""Images: every kind of input file, damage, exact conversions, layout."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from animate124.errors import UserError
from animate124.media.images import (
    composite,
    contact_sheet,
    decode_image,
    encode_png,
    linear_to_srgb,
    read_image,
    resize,
    srgb_to_linear,
    to_uint8,
    write_png,
)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [3, 4])
def test_png_round_trip_is_exact_and_repeatable(tmp_path, channels):
    pixels = noise(5, 7, channels)
    write_png(tmp_path / "a.png", pixels)
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.float32 and image.shape == (5, 7, channels)
    assert np.array_equal(image, pixels / np.float32(255))
    assert encode_png(image) == (tmp_path / "a.png").read_bytes()


def test_grey_paletted_and_transparent_files():
    grey = np.array([[0, 51], [102, 255]], np.uint8)
    expected = np.repeat((grey / 255)[..., None], 3, axis=2)
    np.testing.assert_allclose(decode_image(encode_png(grey), "grey"), expected, atol=1e-7)
    deep = encoded(Image.fromarray(np.array([[0, 1000, 65535]], np.uint16)), "PNG")
    found = decode_image(deep, "16 bit")
    np.testing.assert_allclose(found[0, :, 1], [0, 1000 / 65535, 1], atol=1e-7)
    grey_alpha = Image.fromarray(np.array([[[102, 51]]], np.uint8), "LA")
    found = decode_image(encoded(grey_alpha, "PNG"), "grey alpha")
    np.testing.assert_allclose(found[0, 0], [0.4, 0.4, 0.4, 0.2], atol=1e-7)
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert decode_image(encoded(palette, "PNG"), "palette").tolist() == [[[1, 0, 0], [0, 0, 1]]]
    clear = decode_image(encoded(palette, "PNG", transparency=1), "palette with a clear colour")
    assert clear[0, :, 3].tolist() == [1, 0]
    one_bit = decode_image(encoded(Image.new("1", (2, 1), 1), "PNG"), "1 bit")
    assert one_bit.tolist() == [[[1, 1, 1], [1, 1, 1]]]


def test_jpeg_webp_and_cmyk():
    flat = Image.new("RGB", (16, 16), (200, 100, 50))
    for kind in ("JPEG", "WEBP"):
        found = decode_image(encoded(flat, kind, quality=95), kind)
        np.testing.assert_allclose(found[8, 8] * 255, [200, 100, 50], atol=4)
    clear = Image.new("RGBA", (4, 4), (10, 200, 30, 128))
    found = decode_image(encoded(clear, "WEBP", lossless=True), "webp")
    np.testing.assert_allclose(found[0, 0] * 255, [10, 200, 30, 128], atol=0.01)
    cmyk = decode_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), "cmyk")
    np.testing.assert_allclose(cmyk[4, 4], [1, 0, 0], atol=0.03)


def test_exif_orientation_is_applied():
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # left half white as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view: left becomes top
    image = decode_image(encoded(Image.fromarray(pixels), "JPEG", exif=exif, quality=95), "exif")
    assert image.shape == (32, 16, 3)
    assert image[4].min() > 0.9 and image[28].max() < 0.1


def test_bad_files_are_one_sentence(tmp_path):
    png, jpeg = encode_png(noise(40, 40, 3)), encoded(Image.fromarray(noise(40, 40, 3)), "JPEG")

    def claiming(width, height):
        """The PNG with another size in its header, which has a checksum."""
        header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
        return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]

    assert claiming(40, 40) == png
    cases = {
        "empty.png": (b"", "is empty"),
        "cut.png": (png[: len(png) // 2], "damaged or cut short"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "damaged or cut short"),
        "text.png": (b"not an image", "not a PNG, JPEG or WebP"),
        "bitmap.png": (encoded(Image.new("RGB", (2, 2)), "BMP"), "not a PNG, JPEG or WebP"),
        "zero.png": (claiming(0, 40), "damaged|no pixels"),
        "huge.png": (claiming(9000, 9000), "8192"),
        "bomb.png": (claiming(20000, 20000), "8192"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(UserError, match="is a folder"):
        read_image(tmp_path)


def test_to_uint8_rounds_clips_and_refuses_nan(tmp_path):
    values = np.array([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 1.0, 2.0, np.inf])
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 128, 255, 255, 255]
    with pytest.raises(ValueError, match="NaN"):
        write_png(tmp_path / "a.png", np.full((2, 2, 3), np.nan, np.float32))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="int64"):
        to_uint8(np.array([1]))
    with pytest.raises(ValueError, match=r"\(2, 2, 2\)"):
        encode_png(np.zeros((2, 2, 2)))


def test_composite_by_hand():
    rgb = np.array([[[1.0, 0.5, 0.0]]])
    found = composite(rgb, np.array([[0.25]]), (0.0, 1.0, 1.0))
    np.testing.assert_allclose(found, [[[0.25, 0.875, 0.75]]])
    np.testing.assert_allclose(composite(rgb, np.array([[[0.25]]])), [[[1.0, 0.875, 0.75]]])


def test_srgb_curve():
    # IEC 61966-2-1: mid grey 0.5 is 0.21404114 in linear light; 0.04045 joins at 0.0031308.
    np.testing.assert_allclose(
        srgb_to_linear([0.0, 0.5, 1.0, 0.02]), [0, 0.21404114, 1, 0.02 / 12.92], rtol=1e-5
    )
    levels = np.linspace(0, 1, 256)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(levels)), levels, atol=1e-5)


def test_resize_averages_instead_of_skipping():
    lines = np.zeros((8, 8), np.float32)
    lines[:, ::2] = 1.0
    np.testing.assert_allclose(resize(lines, 2, 2, "area"), np.full((2, 2), 0.5), atol=1e-6)
    np.testing.assert_allclose(resize(lines, 2, 2), np.full((2, 2), 0.5), atol=0.07)
    ramp = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_allclose(resize(ramp, 1, 3, "area"), [[3.5, 5.5, 7.5]], atol=1e-5)
    assert resize(np.zeros((4, 4, 3)), 9, 5).shape == (9, 5, 3)


def test_resize_keeps_hidden_colours_out():
    rgba = np.zeros((2, 2, 4), np.float32)
    rgba[:, 0] = [1.0, 0.0, 0.0, 1.0]
    rgba[:, 1] = [0.0, 1.0, 0.0, 0.0]  # green, but invisible
    np.testing.assert_allclose(resize(rgba, 1, 1, "area")[0, 0], [1, 0, 0, 0.5], atol=1e-6)


def test_contact_sheet_places_every_cell():
    red = np.full((10, 20, 3), [1.0, 0.0, 0.0])
    blue = np.full((6, 8, 4), [0.0, 0.0, 1.0, 0.5])
    sheet = contact_sheet([[red, None], [None, blue]], padding=3)
    assert sheet.shape == (3 + 10 + 3 + 6 + 3, 3 + 20 + 3 + 8 + 3, 3)
    assert (sheet[3:13, 3:23] == [1, 0, 0]).all()
    np.testing.assert_allclose(sheet[16:22, 26:34], np.full((6, 8, 3), [0.5, 0.5, 1]), atol=0.005)
    sheet[3:13, 3:23] = sheet[16:22, 26:34] = 1.0
    assert (sheet == 1.0).all()


def test_contact_sheet_labels():
    grey = np.full((10, 10), 0.5)
    sheet = contact_sheet([[grey, grey]], ["row"], ["wide column label", "b"], padding=2)
    grey_pixels = (np.abs(sheet - 0.5) < 0.01).all(axis=2)
    rows = np.flatnonzero(grey_pixels.sum(axis=1) >= 20)  # both tiles; letters' edges are fewer
    columns = np.flatnonzero(grey_pixels[rows[0] : rows[0] + 10].sum(axis=0) == 10)
    assert len(rows) == 10 and len(columns) == 20
    first_row, first_column = rows[0], columns[0]
    assert (sheet[:first_row, first_column:] < 0.3).any()  # the column labels lie above
    assert (sheet[first_row:, :first_column] < 0.3).any()  # the row label lies at the left
    assert (sheet[:first_row, :first_column] == 1.0).all()
    with pytest.raises(ValueError, match="labels"):
        contact_sheet([[grey]], ["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([[]])
