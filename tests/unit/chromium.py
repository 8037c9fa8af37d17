"""Headless Chromium for tests, spoken to over the pipe of its DevTools protocol (no websocket)."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np

from animate124.media.images import decode_image

PATIENCE = 120.0  # seconds for an answer; a busy machine draws slowly without a GPU
NAMES = ("chromium", "chromium-browser", "google-chrome")
# The pipe's ends have to be the file descriptors 3 and 4, wherever they were before.
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find():
    """The browser's path; None where there is none on the PATH."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One page of a browser of its own; `errors` are what its console and its scripts cried."""

    def __init__(self, folder, width, height):
        reads, self._to = os.pipe()
        self._from, writes = os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(reads), str(writes), find()]
        command += ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run"]
        command += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--mute-audio"]
        command += ["--force-device-scale-factor=1", "--disable-dev-shm-usage"]
        self._said = (Path(folder) / "chromium.log").open("w+")
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={Path(folder) / 'profile'}", "about:blank"],
            pass_fds=(reads, writes),
            stdout=self._said,
            stderr=self._said,
        )
        os.close(reads), os.close(writes)
        self._rest, self._count, self._session, self.errors, self._events = b"", 0, None, [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        found = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def close(self):
        for end in (self._to, self._from):
            os.close(end)
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._said.close()

    def send(self, method, **parameters):
        """The result of a command of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        number = self._count
        answer = self._until(lambda said: said.get("id") == number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, address):
        """Go to an address and wait until it has loaded."""
        self._events.clear()
        self.send("Page.navigate", url=address)
        if "Page.loadEventFired" not in self._events:
            self._until(lambda said: said.get("method") == "Page.loadEventFired")

    def value(self, script):
        """What an expression gives, as plain data; a promise is waited for."""
        how = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = self.send("Runtime.evaluate", expression=script, **how)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self):
        """A screenshot, RGB [H, W, 3] in [0, 1]."""
        found = self.send("Page.captureScreenshot", format="png")
        image = decode_image(base64.b64decode(found["data"]), "the screenshot")
        return image[..., :3].astype(np.float32)

    def _until(self, wanted):
        """The first message for which `wanted` holds; errors and events on the way are kept."""
        deadline = time.monotonic() + PATIENCE
        while True:
            *whole, self._rest = self._rest.split(b"\0")
            for place, text in enumerate(whole):
                message = json.loads(text)
                self._note(message)
                if wanted(message):
                    self._rest = b"\0".join([*whole[place + 1 :], self._rest])
                    return message
            left = deadline - time.monotonic()
            ready = select.select([self._from], [], [], max(left, 0.0))[0]
            more = os.read(self._from, 1 << 20) if ready else b""
            if not more:
                self._said.seek(0)
                raise RuntimeError(f"the browser does not answer: {self._said.read()[-1000:]}")
            self._rest += more

    def _note(self, message):
        method, about = message.get("method", ""), message.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.errors.append(about["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(about["args"])
        elif method == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"])


@contextmanager
def tab(folder, width=640, height=480):
    """A tab of that many pixels, whose profile and log lie in `folder`."""
    opened = Tab(folder, width, height)
    try:
        yield opened
    finally:
        opened.close()


class Quiet(SimpleHTTPRequestHandler):
    """Files without a line in the log for each."""

    def log_message(self, *words):
        pass


@contextmanager
def served(folder):
    """The address of a web server, on this machine alone, of a folder and what it links to."""
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
