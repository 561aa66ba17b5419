"""``python warm.py MODULE ...`` is ``python -m MODULE ...``, in a fork of a process that has loaded MONAI.

A name that ends in ``.py`` is that of a script.

Loading takes seconds, and the tests call a hundred programs. Where there is no such process, it loads.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SERVER = "CSVD_WARM"
"""Variable of the environment that names the socket of the process to fork."""
PROCESS_FILE = "CSVD_PROCESS_FILE"
"""Variable that names a file for the number of the process that runs the module, for who wants to kill it."""
LOADED = (
    "csvd.cli",
    "csvd.workflows.demo",
    "csvd.workflows.detection",
    "csvd.engines",
    "csvd.experiments",
    "monai.bundle",
)


def start():
    """Start the process that is forked, for this process and those that it starts."""
    os.environ[SERVER] = str(Path(tempfile.mkdtemp(prefix="csvd_warm_"), "socket"))
    atexit.register(subprocess.Popen([sys.executable, __file__]).kill)


def python_m(module, *arguments):
    """Return the command; where no process to fork has been started, it is."""
    if SERVER not in os.environ:
        start()
    while not Path(os.environ[SERVER]).exists():
        time.sleep(0.01)
    return [sys.executable, __file__, *map(str, (module, *arguments))]


def torchrun(folder, processes, module, *arguments):
    """Return the command that runs a module as ``torchrun --standalone`` does, and its environment.

    The processes are forks, too: ``folder`` gets the program that torchrun takes for Python.
    """
    launch = ("--standalone", "--nproc_per_node", processes, "-m", module)
    return python_m("torch.distributed.run", *launch, *arguments), {**os.environ, "PYTHON_EXEC": str(worker(folder))}


def worker(folder):
    """Write a program that takes ``-u -m MODULE ...`` as Python does, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "worker"
    path.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {__file__} "$@"\n')
    path.chmod(0o755)
    return path


def load():
    """Load what most programs need: modules, and the template of the brain."""
    for name in LOADED:
        __import__(name)
    sys.modules["csvd.phantom.anatomy"].tissue_template()
    sys.modules["csvd.anatomy.mars"].mni_mars()


def serve(path):
    """Load, then fork for each that asks; those that ask meanwhile wait."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        load()
        gc.collect()
        gc.freeze()  # a fork that looks through all that is loaded copies it, and takes seconds
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
        while True:
            asking, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                end(become(asking))
            asking.close()


def become(asking):
    """Run what is asked for, with its streams, folder and environment; return the exit code, after telling it."""
    message, streams, *_ = socket.recv_fds(asking, 1 << 20, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    cwd, environment, words = json.loads(message)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = cwd
    sys.argv = words
    tell_number()
    code = 0
    try:
        if words[0].endswith(".py"):
            runpy.run_path(words[0], run_name="__main__")
        else:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        code = 1
        sys.excepthook(*sys.exc_info())
    asking.send(bytes([code]))
    return code


def end(code):
    """End this process as Python does, but for taking apart all that is loaded."""
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    os._exit(code)


def tell_number():
    """Write the number of this process where the environment says."""
    if PROCESS_FILE in os.environ:
        Path(os.environ[PROCESS_FILE]).write_text(str(os.getpid()))


def ask(words):
    """Return the exit code of a fork that ran this; None where there is none to fork."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(os.environ[SERVER])
        except (KeyError, OSError):
            return None
        socket.send_fds(asking, [json.dumps([os.getcwd(), dict(os.environ), words]).encode()], [0, 1, 2])
        code = asking.recv(1)
        while asking.recv(1):  # until it has ended
            pass
    return code[0] if code else 1


def main(words):
    """Run a module, or serve those that ask when none is named."""
    if not words:
        serve(os.environ[SERVER])
    code = ask(words)
    if code is None:
        tell_number()
        os.execv(sys.executable, [sys.executable, *(words if words[0].endswith(".py") else ["-m", *words])])
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
