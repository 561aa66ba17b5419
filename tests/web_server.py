"""A tiny DICOMweb server, on loopback and in memory, that can be told to misbehave."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pydicom

BOUNDARY = b"xxboundaryxx"


class WebServer:
    """What the server has and does.

    Attributes:
        instances: data sets, in the order in which they came.
        asked: method and path of each request.
        signed: value of ``Authorization`` of each.
        faults: functions of a request handler and its path; the first that returns true has answered.
        counts: whether studies are told with their number of instances.
    """

    def __init__(self):
        self.instances, self.asked, self.signed, self.faults = [], [], [], []
        self.counts = True
        self.url = ""

    def add(self, paths):
        """Put DICOM files in."""
        self.instances += [pydicom.dcmread(path) for path in paths]

    def of(self, study, modality):
        """Return the instances of a study and a modality."""
        return [one for one in self.instances if (one.StudyInstanceUID, one.Modality) == (study, modality)]

    def fail(self, part, status):
        """Answer requests whose method and path hold a text with a status."""

        def answer(handler, path):
            if part in path:
                handler.reply(status, b"no")
            return part in path

        self.faults.append(answer)


@contextmanager
def web_server(context=None):
    """Run a server; with a context of ssl by HTTPS."""
    state = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def reply(self, status, body, kind="application/dicom+json", length=None):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self._answer(None)

        def do_POST(self):
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body):
            state.asked.append(f"{self.command} {self.path}")
            state.signed.append(self.headers.get("Authorization"))
            if not any(fault(self, state.asked[-1]) for fault in state.faults):
                _serve(state, self, body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _serve(state, handler, body):
    parts = urlsplit(handler.path)
    words, query = parts.path.split("/")[2:], parse_qs(parts.query)
    found = [one for one in state.instances if len(words) < 2 or one.StudyInstanceUID == words[1]]
    if body is not None:
        handler.reply(200, json.dumps(_store(state, body)).encode())
    elif words == ["studies"]:
        wanted = query.get("ModalitiesInStudy")
        counts = {}
        for one in found:
            counts.setdefault(one.StudyInstanceUID, []).append(one.Modality)
        rows = [
            {"0020000D": _value(uid), **({"00201208": _value(len(kinds))} if state.counts else {})}
            for uid, kinds in counts.items()
            if not wanted or set(wanted) & set(kinds)
        ]
        handler.reply(200, _page(rows, query))
    elif words[-1] == "series":
        series = {one.SeriesInstanceUID: one for one in found}
        tags = {"0020000E": "SeriesInstanceUID", "00080060": "Modality", "0008103E": "SeriesDescription"}
        rows = [{tag: _value(str(one.get(name, ""))) for tag, name in tags.items()} for one in series.values()]
        handler.reply(200, _page(rows, query))
    elif words[-1] == "instances":
        rows = [{"00080018": _value(one.SOPInstanceUID)} for one in found if one.SeriesInstanceUID == words[3]]
        handler.reply(200, _page(rows, query))
    else:
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}'
        handler.reply(200, multipart([one for one in found if one.SeriesInstanceUID == words[3]]), kind)


def multipart(instances):
    """Return the body of an answer of WADO-RS."""
    body = b""
    for one in instances:
        file = BytesIO()
        pydicom.dcmwrite(file, one, enforce_file_format=True)
        body += b"\r\n--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue()
    return body + b"\r\n--" + BOUNDARY + b"--"


def _store(state, body):
    first = body.index(b"--")
    boundary = body[first : body.index(b"\r\n", first)]
    stored = []
    for part in body.split(boundary)[1:-1]:
        one = pydicom.dcmread(BytesIO(part[part.index(b"\r\n\r\n") + 4 : -2]))
        state.instances.append(one)
        stored.append({"00081155": {"vr": "UI", "Value": [one.SOPInstanceUID]}})
    return {"00081199": {"vr": "SQ", "Value": stored}}


def _page(rows, query):
    start = int(query.get("offset", ["0"])[0])
    return json.dumps(rows[start : start + int(query.get("limit", ["1000"])[0])]).encode()


def _value(value):
    return {"vr": "UI", "Value": [value]}
