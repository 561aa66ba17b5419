"""Serve the OHIF viewer beside the DICOMweb of a PACS, on loopback: python tools/serve_ohif.py DIST --dicomweb URL.

Viewer and images have one origin, so the PACS needs no CORS headers. For looking at results on one's own computer: it
knows no users and no encryption.
"""

import argparse
import http.client
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

CONFIG = Path(__file__).with_name("ohif_config.js")
PROXIED = "/dicom-web"
"""Where the viewer's configuration looks for the PACS."""
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host"}
ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""What a browser asks for before it shares memory between threads."""


class Handler(SimpleHTTPRequestHandler):
    """Answers with a file of the viewer, its configuration, or what the PACS answers.

    Args:
        dicomweb: address of the PACS.
    """

    def __init__(self, *arguments: object, dicomweb: str, **options: object) -> None:
        self.dicomweb = urlsplit(dicomweb.rstrip("/"))
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer GET."""
        path = urlsplit(self.path).path
        if path == PROXIED or path.startswith(f"{PROXIED}/"):
            self._forward()
        elif path == "/app-config.js":
            self._send_config()
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"  # a page of the viewer: it reads the address itself
            super().do_GET()

    def do_POST(self) -> None:
        """Answer POST, with which the viewer stores results."""
        self._forward()

    def end_headers(self) -> None:
        """Allow shared memory."""
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""

    def _send_config(self) -> None:
        content = CONFIG.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _forward(self) -> None:
        """Ask the PACS the same, and answer the same."""
        kind = http.client.HTTPSConnection if self.dicomweb.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.dicomweb.hostname or "", self.dicomweb.port, timeout=60)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            connection.request(self.command, self.dicomweb.path + self.path.removeprefix(PROXIED), body, headers)
            answer = connection.getresponse()
        except OSError as error:
            self.send_error(502, f"the PACS does not answer: {error}")
            return
        with answer:
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length", "date", "server"}:
                    self.send_header(name, value)
            content = answer.read()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


def make_server(dist: Path, dicomweb: str, port: int = 0) -> ThreadingHTTPServer:
    """Return a server on 127.0.0.1, which does not serve yet.

    Args:
        dist: folder of the built viewer, ``dist`` of npm's ``@ohif/app``.
        dicomweb: address of the PACS, for example ``http://127.0.0.1:8042/dicom-web``.
        port: to listen on; 0 takes a free one.
    """
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(dist), dicomweb=dicomweb))


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="folder `dist` of npm's package @ohif/app")
    parser.add_argument("--dicomweb", required=True, help="address of the PACS")
    parser.add_argument("--port", type=int, default=3000)
    options = parser.parse_args()
    if not (options.dist / "index.html").is_file():
        parser.error(f"folder '{options.dist}' must hold OHIF's index.html, it does not. Name `dist` of @ohif/app.")
    server = make_server(options.dist, options.dicomweb, options.port)
    print(f"OHIF: http://127.0.0.1:{server.server_port}. Research use only.")
    server.serve_forever()


if __name__ == "__main__":
    main()
