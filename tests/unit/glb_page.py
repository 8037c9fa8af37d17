"""A GLB file in a real browser: three.js (GLTFLoader, AnimationMixer) in headless Chromium.

python tests/unit/glb_page.py FILE.glb OUT.png [SECONDS ...]    a picture at each moment, in a row

three.js is taken from the folder that THREE_CACHE names, or fetched there, or into a temporary one,
by npm (package three).
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import chromium
import numpy as np

from animate124.media.images import contact_sheet, write_png

VERSION = "0.170.0"
# Parallel rays, white all around: a surface that is no metal shows its texture's very colours.
# With `lamp` so much of the light comes from the viewer's left.
PAGE = """<!DOCTYPE html><meta charset="utf-8"><title>a GLB file</title>
<link rel="icon" href="data:,"><style>body { margin: 0; overflow: hidden }</style>
<script type="importmap">{"imports": {"three": "./three/build/three.module.min.js"}}</script>
<script type="module">
import * as THREE from 'three';
import { GLTFLoader } from './three/examples/jsm/loaders/GLTFLoader.js';
const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true });
renderer.setSize(innerWidth, innerHeight);
document.body.append(renderer.domElement);
const scene = new THREE.Scene();
scene.background = new THREE.Color('white');
let mixer, root;
window.load = async () => {
  const file = await new GLTFLoader().loadAsync('scene.glb');
  root = file.scene;
  scene.add(root);
  mixer = new THREE.AnimationMixer(root);
  for (const clip of file.animations) mixer.clipAction(clip).play();
  return file.animations.map(clip => [clip.name, clip.duration]);
};
window.show = ({ seconds, azimuth, middle, height, lamp }) => {
  const width = height * innerWidth / innerHeight, angle = azimuth * Math.PI / 180;
  const camera = new THREE.OrthographicCamera(
    -width / 2, width / 2, height / 2, -height / 2, 0.01 * height, 100 * height);
  const side = new THREE.Vector3(Math.sin(angle), 0, Math.cos(angle));
  const centre = new THREE.Vector3(...middle);
  camera.position.copy(centre).addScaledVector(side, 50 * height);
  camera.lookAt(centre);
  const sun = new THREE.DirectionalLight('white', lamp * Math.PI);
  sun.position.set(-0.5, 0.6, 1).applyAxisAngle(new THREE.Vector3(0, 1, 0), angle);
  const sky = new THREE.AmbientLight('white', (1 - lamp) * Math.PI);
  scene.add(sky, sun);
  mixer.setTime(seconds);
  renderer.render(scene, camera);
  scene.remove(sky, sun);
};
window.bounds = () => {
  const box = new THREE.Box3().setFromObject(root);
  return [box.min.toArray(), box.max.toArray()];
};
</script>"""


class Absent(Exception):
    """What is needed is not on this machine, and why."""


@contextmanager
def opened(glb, width, height):
    """A tab that has loaded a file, [(name, duration in seconds)] of its animations.

    Raises Absent: no browser, no three.js.
    """
    if chromium.find() is None:
        raise Absent("no Chromium on the PATH")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = folder / "site"
        site.mkdir()
        (site / "three").symlink_to(three(folder))
        (site / "page.html").write_text(PAGE)
        shutil.copy(glb, site / "scene.glb")
        address = stack.enter_context(chromium.served(site))
        tab = stack.enter_context(chromium.tab(folder, width, height))
        tab.open(f"{address}/page.html")
        yield tab, tab.value("load()")


def three(folder):
    """The folder of the package three. Raises Absent where npm cannot fetch it either."""
    place = Path(os.environ.get("THREE_CACHE") or folder).resolve()
    found = place / "node_modules" / "three"
    if not found.is_dir():
        if shutil.which("npm") is None:
            raise Absent("three.js needs npm on the PATH, or a folder in THREE_CACHE")
        command = ["npm", "install", "--no-save", "--prefix", str(place), f"three@{VERSION}"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if run.returncode != 0:
            raise Absent(f"npm could not fetch three: {run.stderr.strip()[-200:]}")
    return found


def show(tab, seconds, azimuth=0.0, middle=(0.0, 0.0, 0.0), height=1.5, lamp=0.0):
    """A screenshot [H, W, 3]: at a moment, from an azimuth in degrees, `height` world units high
    about `middle`; `lamp` in [0, 1]: which share of the light comes from one side."""
    how = {"seconds": seconds, "azimuth": azimuth, "middle": list(middle)}
    how |= {"height": height, "lamp": lamp}
    tab.value(f"show({json.dumps(how)})")
    return tab.picture()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("glb", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("seconds", type=float, nargs="*", default=[0.0, 0.5])
    parser.add_argument("--azimuth", type=float, nargs="*", default=[0.0, 90.0])
    parser.add_argument("--size", type=int, default=300)
    given = parser.parse_args()
    with opened(given.glb, given.size, given.size) as (tab, animations):
        low, high = np.array(tab.value("bounds()"))
        look = {"middle": ((low + high) / 2).tolist(), "height": 1.15 * float((high - low).max())}
        shots = [[show(tab, t, a, lamp=0.4, **look) for t in given.seconds] for a in given.azimuth]
        errors = tab.errors
    write_png(
        given.out,
        contact_sheet(
            shots, [f"{a:.0f}°" for a in given.azimuth], [f"{t:g} s" for t in given.seconds]
        ),
    )
    print(f"{given.out}: animations {animations}, {len(errors)} errors in the console")


if __name__ == "__main__":
    main()
