"""MONAI Label in an environment of its own, installed and served by the commands of ``docs/monai_label.md``.

``CSVD_MONAI_LABEL`` names an environment that has it already: making one takes minutes.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).parents[1]
INSTALLED = "CSVD_MONAI_LABEL"
STARTS_SECONDS, STOPS_SECONDS, TRAINS_SECONDS = 300, 30, 1800


def documented(number):
    """Return a block of commands of the document."""
    text = (ROOT / "docs" / "monai_label.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[number]


def install(folder):
    """Run the documented installation in a folder, and return the variables of its environment."""
    own = Path(os.environ.get(INSTALLED, folder / "own"))
    if not own.exists():
        venv.create(own, with_pip=True)
        (packages,) = own.glob("lib/*/site-packages")
        (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))  # the rest as in ours
    (folder / "bundles").symlink_to(ROOT / "bundles")
    path = f"{own / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MONAI_LABEL_SESSION_PATH": str(folder / "sessions")}
    commands = documented(0).partition("monailabel start_server")[0]
    if INSTALLED in os.environ:
        commands = re.sub(r"^pip install.*$", "", commands, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-ec", commands], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return environment


@contextmanager
def serving_models(folder, environment, commands):
    """Run the documented commands that start a server, on a free port, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before, _, start = commands.rpartition("monailabel start_server")
    script = f"{before}exec monailabel start_server{start.rstrip()} --port {port}"
    environment = {**environment, "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "cache")}
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(
            ["bash", "-ec", script], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, server, folder / "server.log")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # also of a training
        try:
            server.wait(STOPS_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def train(address, model, **parameters):
    """Train a model and wait until it is done; an error is raised with what the server said last."""
    requests.post(f"{address}/train/{model}", json=parameters, timeout=60).raise_for_status()
    until = time.monotonic() + TRAINS_SECONDS
    while time.monotonic() < until:
        task = requests.get(f"{address}/train/", params={"all": "true"}, timeout=60).json()[-1]
        if task["status"] in ("DONE", "ERROR", "STOPPED"):
            assert task["status"] == "DONE", "\n".join(task["details"][-20:])
            return
        time.sleep(1)
    raise TimeoutError(f"{model} was not trained within {TRAINS_SECONDS} s")


def infer(address, model, image, output="json"):
    """Return the answer of a model."""
    answer = requests.post(
        f"{address}/infer/{model}", params={"image": image, "output": output}, timeout=STARTS_SECONDS
    )
    answer.raise_for_status()
    return answer


def submit(address, image, name, content, **parameters):
    """Submit a label, as the client of OHIF's plug-in does."""
    answer = requests.put(
        f"{address}/datastore/label",
        params={"image": image},
        data={"params": json.dumps(parameters)},
        files={"label": (name, content)},
        timeout=STARTS_SECONDS,
    )
    answer.raise_for_status()


def _wait(address, server, log):
    until = time.monotonic() + STARTS_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            requests.get(f"{address}/info/", timeout=60).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(1)
    raise RuntimeError(f"MONAI Label did not start: {log.read_text(errors='replace')[-3000:]}")
