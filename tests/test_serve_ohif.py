"""Files of a viewer and a DICOMweb server under one address."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from ohif import serving


class Pacs(BaseHTTPRequestHandler):
    """Answers with what it is asked."""

    def do_GET(self):
        body = f"{self.path} {self.headers['Accept']}".encode()
        self.send_response(206)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def pacs():
    with HTTPServer(("127.0.0.1", 0), Pacs) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/dicom-web"
        finally:
            server.shutdown()


@pytest.fixture
def dist(tmp_path):
    """A viewer of two files."""
    (tmp_path / "index.html").write_text("viewer")
    (tmp_path / "app.js").write_text("script")
    return tmp_path


def test_files_pages_and_configuration_of_the_viewer_are_served(dist):
    with serving(dist, "http://127.0.0.1:9/dicom-web") as at:
        assert requests.get(f"{at}/app.js", timeout=9).text == "script"
        page = requests.get(f"{at}/viewer?StudyInstanceUIDs=1.2", timeout=9)
        assert (page.text, page.headers["Cross-Origin-Opener-Policy"]) == ("viewer", "same-origin")
        assert "/dicom-web" in requests.get(f"{at}/app-config.js", timeout=9).text


def test_questions_to_the_pacs_are_passed_on_with_headers_and_answers(dist):
    with pacs() as dicomweb, serving(dist, dicomweb) as at:
        answer = requests.get(f"{at}/dicom-web/studies?limit=1", headers={"Accept": "multipart/related"}, timeout=9)
    assert answer.text == "/dicom-web/studies?limit=1 multipart/related"
    assert (answer.status_code, answer.headers["Content-Type"]) == (206, "application/dicom+json")


def test_a_pacs_that_does_not_answer_is_named(dist):
    with serving(dist, "http://127.0.0.1:9/dicom-web") as at:
        answer = requests.get(f"{at}/dicom-web/studies", timeout=9)
    assert answer.status_code == 502
    assert "PACS does not answer" in answer.text
