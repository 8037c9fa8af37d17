"""Videos: what is written is what is read, byte for byte the same every time."""

import numpy as np
import pytest

from animate124.errors import UserError
from animate124.media import video
from animate124.media.video import read_video, write_gif, write_video


def clip(frames=6, height=32, width=48):
    """Smooth moving colours [F, H, W, 3]; smooth, because yuv420p halves the colour resolution."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    k = np.arange(frames)[:, None, None] / frames
    x, y, k = np.broadcast_arrays(x, y, k)
    return np.stack((0.5 + 0.5 * np.sin(3 * x + 6 * k), y, 1 - 0.8 * k), -1).astype(np.float32)


def test_mp4_round_trip(tmp_path):
    frames = clip()
    write_video(tmp_path / "a.mp4", frames, 12.5)
    found, fps = read_video(tmp_path / "a.mp4")
    assert fps == 12.5 and found.shape == frames.shape and found.dtype == np.float32
    assert np.abs(found - frames).mean() < 0.006 and np.abs(found - frames).max() < 0.05
    assert np.abs((found - frames).mean()) < 0.001  # neither darker nor brighter
    data = (tmp_path / "a.mp4").read_bytes()
    assert data[4:8] == b"ftyp" and b"avc1" in data
    assert data.index(b"moov") < data.index(b"mdat")  # a player can start before the end


@pytest.mark.parametrize("colour", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0.2, 0.5, 0.7)])
def test_flat_colours_survive(tmp_path, colour):
    write_video(tmp_path / "a.mp4", np.full((2, 16, 16, 3), colour, np.float32), 10)
    found, _ = read_video(tmp_path / "a.mp4")
    assert np.abs(found - np.array(colour)).max() < 3 / 255


def test_odd_sizes_are_padded_with_the_edge(tmp_path):
    frames = clip(height=31, width=45)
    write_video(tmp_path / "a.mp4", frames, 8)
    found, _ = read_video(tmp_path / "a.mp4")
    assert found.shape == (6, 32, 46, 3)
    assert np.abs(found[:, :31, :45] - frames).mean() < 0.006
    assert np.abs(found[:, 31, :45] - frames[:, 30]).mean() < 0.01


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_same_frames_same_bytes(tmp_path, suffix):
    write = write_video if suffix == ".mp4" else write_gif
    write(tmp_path / f"a{suffix}", clip(), 8)
    write(tmp_path / f"b{suffix}", iter(clip()), 8)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_lower_crf_is_closer(tmp_path):
    frames = np.random.default_rng(0).random((4, 32, 32, 1)).astype(np.float32).repeat(3, axis=3)
    errors = []
    for crf in (1, 30):
        write_video(tmp_path / "a.mp4", frames, 8, crf=crf)
        errors.append(np.abs(read_video(tmp_path / "a.mp4")[0] - frames).mean())
    assert errors[0] < 0.01 < 0.03 < errors[1]


def test_gif_round_trip(tmp_path):
    colours = np.array([[1, 0, 0], [0, 0.5, 1], [1, 1, 1]], np.float32)
    frames = np.broadcast_to(colours[:, None, None], (3, 15, 17, 3))
    write_gif(tmp_path / "a.gif", frames, 10)
    found, fps = read_video(tmp_path / "a.gif")
    assert fps == 10 and found.shape == (3, 15, 17, 3)
    np.testing.assert_allclose(found, frames, atol=0.02)
    assert b"NETSCAPE2.0" in (tmp_path / "a.gif").read_bytes()  # loops for ever


def test_bad_frames_leave_nothing(tmp_path):
    good = np.zeros((16, 16, 3), np.float32)

    def stops():
        yield good
        raise KeyboardInterrupt

    cases = [
        ([], "at least one"),
        ([good[..., :2]], r"\[H, W, 3\]"),
        ([good, good[:8]], "two sizes"),
        ([good, np.full_like(good, np.nan)], "NaN"),
    ]
    for frames, words in cases:
        with pytest.raises(ValueError, match=words):
            write_video(tmp_path / "a.mp4", frames, 8)
    with pytest.raises(ValueError, match="fps"):
        write_video(tmp_path / "a.mp4", [good], 0)
    with pytest.raises(ValueError, match="crf"):
        write_video(tmp_path / "a.mp4", [good], 8, crf=60)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        write_video(tmp_path / "file" / "deeper" / "a.mp4", [good], 8)
    (tmp_path / "file").unlink()
    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", stops(), 8)
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_one_sentence(tmp_path):
    write_video(tmp_path / "good.mp4", clip(), 8)
    data = (tmp_path / "good.mp4").read_bytes()
    cases = {
        "cut": data[: len(data) // 2],
        "text": b"hello" * 50,
        "broken": data[:-300] + bytes(300),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="damaged, cut short or not a video") as caught:
            read_video(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="is empty"):
        read_video(tmp_path / "empty")
    with pytest.raises(UserError, match="does not exist"):
        read_video(tmp_path / "absent.mp4")


def test_an_encoder_out_of_disk_is_one_sentence(tmp_path, monkeypatch):
    encoder = tmp_path / "ffmpeg"
    encoder.write_text("#!/bin/sh\necho 'a.mp4: No space left on device' >&2\nexit 1\n")
    encoder.chmod(0o755)
    monkeypatch.setattr(video, "_ffmpeg", lambda: str(encoder))
    with pytest.raises(UserError, match="disk is full"):
        write_video(tmp_path / "out" / "a.mp4", clip(height=200, width=200), 8)
    assert list((tmp_path / "out").iterdir()) == []
