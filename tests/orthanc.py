"""Debian's Orthanc with its DICOMweb plug-in, started by a test on loopback and stopped by it.

It needs ``apt-get install --no-install-recommends orthanc orthanc-dicomweb dcmtk gcc libc6-dev``. Debian's own service
is not used. Orthanc listens on all addresses and has no setting for it: a library loaded before it changes that.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

PLUGINS = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc/plugins")
AE_TITLE = "ORTHANC"
STARTS_SECONDS, STOPS_SECONDS = 60, 20
PROGRAMS = ("Orthanc", "storescu", "cc")
LOOPBACK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
int bind(int socket, const struct sockaddr *address, socklen_t length) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_storage copy;
    memcpy(&copy, address, length);
    if (copy.ss_family == AF_INET) ((struct sockaddr_in *)&copy)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (copy.ss_family == AF_INET6) ((struct sockaddr_in6 *)&copy)->sin6_addr = in6addr_loopback;
    return real(socket, (struct sockaddr *)&copy, length);
}
"""


@dataclass(frozen=True)
class Orthanc:
    """A server that runs.

    Attributes:
        url: of its own REST interface, such as ``http://127.0.0.1:8042``.
        dicom_port: of the DICOM network.
        auth: name and password, None where anyone may come in.
    """

    url: str
    dicom_port: int
    auth: tuple[str, str] | None = None

    @property
    def dicomweb(self) -> str:
        """Address of DICOMweb, as a user gives it."""
        return f"{self.url}/dicom-web"

    def get(self, path: str) -> requests.Response:
        """Return the answer of the REST interface, such as that of ``/statistics``."""
        answer = requests.get(f"{self.url}{path}", auth=self.auth, timeout=30)
        answer.raise_for_status()
        return answer

    def instances(self, study: str, series: Sequence[str] = ()) -> list[str]:
        """Return Orthanc's own identifiers of the instances of a study, by its StudyInstanceUID; of some series alone.

        ``get(f"/instances/{identifier}/file").content`` is the DICOM file.

        Args:
            study: StudyInstanceUID.
            series: modalities, such as ``("SEG",)``; all where there is none.
        """
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study, "Modality": "\\".join(series)}}
        answer = requests.post(f"{self.url}/tools/find", json=query, auth=self.auth, timeout=30)
        answer.raise_for_status()
        return answer.json()


def skip_without_orthanc() -> None:
    """Skip a test where a program is missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or _plugin() is None:
        pytest.skip(f"needs {', '.join(missing) or 'the plug-in of Orthanc for DICOMweb'}: see tests/orthanc.py")


@contextmanager
def running_orthanc(folder: Path, auth: tuple[str, str] | None = None, **settings: object) -> Iterator[Orthanc]:
    """Start Orthanc on free ports of loopback, yield it when it answers, and stop it.

    Args:
        folder: for its storage, settings and log, ``orthanc.log``. What an earlier run stored there is served again;
            two servers cannot share one.
        auth: name and password to ask for.
        settings: further ones, as in Orthanc's configuration.
    """
    skip_without_orthanc()
    folder.mkdir(parents=True, exist_ok=True)
    http_port, dicom_port = _free_ports(2)
    server = Orthanc(f"http://127.0.0.1:{http_port}", dicom_port, auth)
    configuration = {
        "Name": "csvd tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": AE_TITLE,
        "RemoteAccessAllowed": False,
        "DicomCheckModalityHost": True,
        "AuthenticationEnabled": auth is not None,
        "RegisteredUsers": dict([auth]) if auth else {},
        "Plugins": [str(_plugin())],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        **settings,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration, indent=1))
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")],
            env={**os.environ, "LD_PRELOAD": str(_loopback_alone(folder))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(server, process, folder / "orthanc.log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOPS_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def send(server: Orthanc, folder: Path) -> None:
    """Send the DICOM files in a folder and its subfolders with dcmtk's ``storescu``."""
    where = ["-aec", AE_TITLE, "127.0.0.1", str(server.dicom_port)]
    done = subprocess.run(
        ["storescu", "+sd", "+r", *where, str(folder)], capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _wait(server: Orthanc, process: subprocess.Popen, log: Path) -> None:
    """Wait until the server answers.

    Raises:
        RuntimeError: it ended, or did not answer in time.
    """
    until = time.monotonic() + STARTS_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            server.get("/system")
            requests.get(f"{server.dicomweb}/studies?limit=1", auth=server.auth, timeout=30).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.1)
    raise RuntimeError(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")


def _loopback_alone(folder: Path) -> Path:
    """Return a library that makes a program listen on loopback alone."""
    library = folder / "loopback.so"
    if not library.exists():
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
        subprocess.run(command, input=LOOPBACK, text=True, check=True)
    return library


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _plugin() -> Path | None:
    """Return the plug-in for DICOMweb, None where it is not installed."""
    found = (path for folder in PLUGINS for path in Path(folder).glob("libOrthancDicomWeb.so*"))
    return next(found, None)
