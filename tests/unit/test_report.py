"""The report: one page that asks for nothing, is well formed, and tells of what failed."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import json
import re
from html.parser import HTMLParser

import chromium
import numpy as np
import pytest
from bad_input import animate124, assert_one_sentence  # noqa: F401

from animate124.media.images import write_png
from animate124.media.video import write_video
from animate124.report.page import page, write_report
from animate124.report.pipeline import draw, routes
from animate124.report.results import find
from animate124.scenes.chain import ROUTES

VOID = {"meta", "img", "br", "rect", "path"}
ROW = {
    "reference_psnr": 24.04,
    "reference_iou": 0.91,
    "novel_psnr": None,
    "species_top1": 0.75,
    "amplitude_of_subject": 0.1234,
    "flicker": 0.987,
}
METRICS = {
    "prompt": 'a <b>panda</b> is "dancing" & more',
    "verdict": "ok",
    "reason": "It moves.",
    "scores": {"result": ROW, "frozen": ROW | {"amplitude_of_subject": 0.0}, "white": {}},
    "ablation": {
        "static": {"verdict": "static", "scores": ROW},
        "refine": {"verdict": "ok", "scores": ROW},
    },
    "embedding": {"model": "animate124-nano-embedding", "sentence": "a panda is dancing"},
    "stages": {
        "static": {"seconds": 40.0, "peak_memory_mib": 700.0, "device": "cpu"},
        "refine": {"seconds": 10.0, "peak_memory_mib": 900.0, "device": None},
    },
    "licences": {
        "code": "Apache-2.0",
        "weights": [{"role": "depth", "model": "m", "licence": "MIT"}],
    },
}


class Page(HTMLParser):
    """Elements with their attributes, text by element, and whether all are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        self.words.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self):
        return " ".join(words for tag, words in self.words if tag != "style")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """panda is done, fox failed in dynamic, owl was never begun but for its picture."""
    folder = tmp_path_factory.mktemp("results")
    panda = folder / "panda"
    for stage in ROUTES["animate124"]:
        (panda / stage).mkdir(parents=True)
        (panda / stage / "stage.json").write_text(json.dumps({"stage": stage, "seconds": 2.0}))
    (panda / "evaluate" / "metrics.json").write_text(json.dumps(METRICS))
    frames = np.linspace(0, 1, 4)[:, None, None, None] * np.ones((1, 16, 16, 3))
    write_video(panda / "render" / "video.mp4", frames, 24)
    for path in ("render/poster.png", "render/sheet.png", "evaluate/sheet.png"):
        write_png(panda / path, frames[1])
    fox = folder / "fox"
    for stage in ("preprocess", "invert", "static"):
        (fox / stage).mkdir(parents=True)
        (fox / stage / "stage.json").write_text(json.dumps({"stage": stage, "seconds": 1.0}))
    (fox / "logs").mkdir()
    (fox / "logs" / "dynamic.log").write_text("step 3\nerror: It is <NaN> at step 4.\n")
    (folder / "owl" / "preprocess").mkdir(parents=True)
    (folder / "zoo").mkdir()
    return folder


@pytest.fixture(scope="module")
def written(results):
    path = results / "report.html"
    write_report(results, path)
    return path, Page(path.read_text())


def test_all_scenes_are_there_and_nothing_else(results, written):
    _, parsed = written
    assert [a["id"] for a in parsed.all("article")] == ["fox", "owl", "panda"]
    assert [a["href"] for a in parsed.all("a")] == ["#fox", "#owl", "#panda"]
    assert "1 of 3 scenes are done." in parsed.text()
    assert [s.name for s in find(results, ["panda", "fox"])] == ["panda", "fox"]


def test_nothing_is_asked_for_from_outside(written):
    path, parsed = written
    for _, attributes in parsed.elements:
        for name in ("src", "href", "poster", "action", "srcset", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes
        assert not any(name.startswith("on") for name in attributes)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in parsed.elements}
    text = path.read_text()
    assert not re.search(r"https?:|url\((?!#tip-)", text)
    (policy,) = [m for m in parsed.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy["content"]


def test_words_from_files_are_no_markup(written):
    _, parsed = written
    assert not parsed.all("b")
    assert 'a <b>panda</b> is "dancing" & more' in parsed.text()
    assert "dynamic: It is <NaN> at step 4." in parsed.text()


def test_players(written):
    _, parsed = written
    (video,) = parsed.all("video")
    for name in ("autoplay", "loop", "muted", "playsinline", "controls"):
        assert name in video
    assert video["src"].startswith("data:video/mp4;base64,") and video["aria-label"]
    assert video["poster"].startswith("data:image/png;base64,")


def test_it_is_accessible_and_fits_a_phone(written):
    _, parsed = written
    (page_language,) = parsed.all("html")
    assert page_language["lang"] == "en"
    assert any(m.get("name") == "viewport" for m in parsed.all("meta"))
    assert all(image["alt"] for image in parsed.all("img")) and len(parsed.all("img")) == 2
    assert all(cell.get("scope") in ("row", "col") for cell in parsed.all("th"))
    assert len(parsed.all("table")) == len(parsed.all("caption")) == 4
    # What is wider than a phone scrolls by itself, and can be reached by keyboard.
    wide = [d for d in parsed.all("div") if d.get("class") == "wide"]
    assert len(wide) == 5 and all(d["tabindex"] == "0" and d["aria-label"] for d in wide)
    identities = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(set(identities)) == len(identities)
    (drawing,) = parsed.all("svg")
    assert drawing["role"] == "img" and drawing["aria-labelledby"] in identities


def contrast(first, second):
    """WCAG 2.2 contrast ratio of two colours #rrggbb or #rgb."""

    def luminance(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        values = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_read(written):
    assert contrast("#fff", "#000000") == pytest.approx(21)
    rules = re.findall(r"background: (#\w+); color: (#\w+)", written[0].read_text())
    assert len(rules) >= 4
    assert min(contrast(*rule) for rule in rules) >= 7


def test_numbers_stand_beside_trivial_ones(written):
    path, parsed = written
    text = parsed.text()
    for word in ("24.0", "0.91", "0.123", "the scene, frozen", "animate124-nano-embedding"):
        assert word in text, word
    assert "SSIM" not in text  # nobody has one
    assert "CLIP" not in text
    widths = re.findall(r"width:([\d.]+)%", path.read_text())
    assert widths[-2:] == ["100.0", "25.0"]  # 40 s and 10 s
    assert "Apache-2.0" in text and "depth, m, MIT" in text


@pytest.mark.parametrize("route", ["animate124", "animate3d"])
def test_the_chain_of_stages_is_whole(route):
    drawing = draw(route, {"render": 41.4})
    for stage in ROUTES[route]:
        assert f">{stage}</text>" in drawing
    assert "41 s" in drawing and drawing.count(" s</text>") == 1
    Page(drawing)


def test_only_the_chains_that_were_gone_are_drawn():
    assert routes(["animate124"]) == ["animate124"]
    assert routes(["splats", "animate3d"]) == ["animate3d"]
    assert routes(["bridge"]) == ["animate124", "animate3d"]


def test_a_scene_without_anything_but_a_verdict(tmp_path):
    (tmp_path / "bird" / "evaluate").mkdir(parents=True)
    (tmp_path / "bird" / "evaluate" / "metrics.json").write_text("[1]")
    text = page(find(tmp_path, []))
    assert "missing" in Page(text).text()


BAD = {
    "no results": (["--results", "gone"], ("no folder gone",)),
    "no scenes": (["--results", "empty"], ("no scenes in empty",)),
    "a folder for the page": (["--out", "empty"], ("empty", "is a folder")),
    "below a file": (["--out", "file/report.html"], ("file",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case, results, tmp_path, monkeypatch, animate124):
    more, words = BAD[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    status, errors = animate124("report", "--results", str(results), "--out", "x.html", *more)
    assert status == 2
    assert_one_sentence(errors, words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file"]


PLAYERS = """Promise.all([...document.querySelectorAll('video')].map(async video => {
  const ready = video.readyState >= 2 || video.error || new Promise(done => {
    video.onloadeddata = video.onerror = done;
  });
  await ready;
  return [video.readyState, video.duration, video.videoWidth, video.error?.message ?? null];
}))"""


def test_a_browser_shows_it(written, tmp_path):
    if chromium.find() is None:
        pytest.skip("no Chromium on the PATH")
    with chromium.tab(tmp_path, 500, 900) as tab:
        tab.open(written[0].as_uri())
        ((ready, seconds, width, error),) = tab.value(PLAYERS)
        assert (width, error) == (16, None) and ready >= 2
        assert seconds == pytest.approx(4 / 24, abs=0.01)  # four frames, 24 a second
        assert tab.picture().std() > 0.05
        assert not tab.errors  # by its own policy, too
