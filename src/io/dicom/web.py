"""Studies on a server that speaks DICOMweb: found by QIDO-RS, fetched by WADO-RS, results sent by STOW-RS."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...checks import InputError, check_extra
from ..records import OWN_SERIES
from .files import read_dicom
from .web_session import PASSWORD, TIMEOUT_SECONDS, TOKEN, USER, open_session

UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
TAG = re.compile(r"[0-9A-Fa-f]{8}")
PAGE = 100
"""Answers asked for at a time: servers send no more than so many anyway."""
CHUNK_BYTES = 10_000_000
AS_STORED = (("application/dicom", "*"),)
"""In the transfer syntax in which a server keeps an image."""


class NoAnswer(InputError):
    """A server cannot be reached, does not let us in, or is in trouble: later it may answer."""


@dataclass(frozen=True)
class WebSeries:
    """A series of a study on a server.

    Attributes:
        uid: SeriesInstanceUID.
        modality: such as ``"MR"``.
        own: whether it is a result of csvd.
        instances: SOPInstanceUID of each of its instances, sorted.
    """

    uid: str
    modality: str
    own: bool
    instances: tuple[str, ...]


class DicomWeb:
    """A server, by its address.

    Name and password, or a token, come from the environment (:data:`USER`, :data:`PASSWORD`, :data:`TOKEN`), else from
    a netrc file. Certificates are verified; the environment variable ``REQUESTS_CA_BUNDLE`` names one's own authority.

    Args:
        url: of the service, without a slash at the end, such as ``https://pacs.example.org/dicom-web``.

    Raises:
        InputError: it is no address, or holds a password; csvd was installed without its extra for DICOM.
    """

    def __init__(self, url: str) -> None:
        self.url = _checked(url).rstrip("/")
        check_extra("dicom")
        from dicomweb_client import DICOMwebClient

        self.client = DICOMwebClient(self.url, session=open_session(), chunk_size=CHUNK_BYTES)
        self.client.set_http_retry_params(retry=False)  # it would retry what is refused too, and wait half a minute

    def studies(self, filters: Mapping[str, str]) -> dict[str, int | None]:
        """Return the StudyInstanceUID of the studies that match, and how many instances each has, if the server tells.

        Args:
            filters: of QIDO-RS: values by keyword or tag.
        """
        found: dict[str, int | None] = {}
        with self._in_words_of_user():
            while True:
                how: dict[str, Any] = {"limit": PAGE, "offset": len(found), "search_filters": dict(filters)}
                page = self.client.search_for_studies(fields=["NumberOfStudyRelatedInstances"], **how)
                new = {uid: _number(one, "00201208") for one in page if (uid := _uid(one, "0020000D")) not in found}
                found |= new
                if not new:  # the last page; some servers send the first again
                    return found

    def count(self, study: str) -> int:
        """Return how many instances a study has, for servers that do not tell."""
        return sum(len(one.instances) for one in self.series(study))

    def series(self, study: str) -> list[WebSeries]:
        """Return the series of a study; none where the server does not have it.

        Raises:
            InputError: the identifier is none.
        """
        if not UID.fullmatch(study):
            raise InputError(f"study '{study}' must be a StudyInstanceUID: digits and dots. Look it up in the PACS.")
        with self._in_words_of_user():
            described = self.client.search_for_series(study, fields=["SeriesDescription"])
            return [self._series(study, one) for one in described]

    def _series(self, study: str, described: Mapping[str, Any]) -> WebSeries:
        uid, modality = _uid(described, "0020000E"), _text(described, "00080060")
        known: list[str] = []
        while True:
            page = self.client.search_for_instances(study, uid, limit=PAGE, offset=len(known))
            new = [name for one in page if (name := _uid(one, "00080018")) not in known]
            if not new:
                break
            known += new
        own = _text(described, "0008103E") == OWN_SERIES.get(modality)
        return WebSeries(uid, modality, own, tuple(sorted(known)))

    def fetch(self, study: str, series: Sequence[WebSeries], folder: Path) -> list[Path]:
        """Write the instances of series into a new folder, as the server has them, and return the files.

        Raises:
            InputError: the server sent others than it told of, or fewer.
        """
        folder.mkdir()
        files: list[Path] = []
        with self._in_words_of_user():
            for one in series:
                left = {*one.instances}
                for instance in self.client.iter_series(study, one.uid, media_types=AS_STORED):
                    if instance.get("StudyInstanceUID") != study or instance.get("SOPInstanceUID") not in left:
                        raise InputError(
                            f"server '{self.url}' must send the images that were asked for, each once, it sent another "
                            "one. Report it to those who run the server."
                        )
                    left.remove(instance.SOPInstanceUID)
                    files.append(folder / f"{len(files):06d}.dcm")
                    instance.save_as(files[-1])
                if left:
                    raise NoAnswer(
                        f"server '{self.url}' must send all {len(one.instances)} images of a series, {len(left)} did "
                        "not come. Try again later."
                    )
        return files

    def store(self, study: str, files: Sequence[Path]) -> None:
        """Send instances of a study.

        Raises:
            InputError: the server did not take all.
        """
        with self._in_words_of_user():
            answer = self.client.store_instances([read_dicom(path, pixels=True) for path in files], study)
        failed = answer.get("FailedSOPSequence") or []
        if failed:
            codes = ", ".join(sorted({f"{int(one.get('FailureReason', 0)):#06x}" for one in failed}))
            raise InputError(
                f"server '{self.url}' must take the {len(files)} results, it refused {len(failed)} (reason {codes}). "
                "Ask those who run the server what it takes."
            )

    @contextmanager
    def _in_words_of_user(self) -> Iterator[None]:
        """Turn what goes wrong with the network into an error that names the server.

        Raises:
            NoAnswer: the server cannot be reached, refuses the credentials or is in trouble.
            InputError: it has no such study, or does not speak DICOMweb.
        """
        from pydicom.errors import InvalidDicomError
        from requests import exceptions as network

        name = f"server '{self.url}'"
        try:
            yield
        except InputError:
            raise
        except network.HTTPError as error:
            answer: Any = error.response
            raise _refusal(name, answer.status_code, answer.reason) from error
        except network.SSLError as error:
            raise NoAnswer(
                f"{name} must have a certificate that can be verified: {_innermost(error)}. If its authority is your "
                "own, set REQUESTS_CA_BUNDLE to the file of its certificate."
            ) from error
        except network.Timeout as error:
            raise NoAnswer(
                f"{name} must answer within {TIMEOUT_SECONDS[1]:g} seconds, it did not. Try again later."
            ) from error
        except network.ChunkedEncodingError as error:
            raise NoAnswer(f"{name} broke off in the middle of an answer. Try again later.") from error
        except network.ConnectionError as error:
            raise NoAnswer(f"{name} cannot be reached: {_innermost(error)}. Check the address.") from error
        except (ValueError, KeyError, AttributeError, EOFError, InvalidDicomError) as error:
            raise InputError(
                f"{name} must speak DICOMweb, its answer is something else. Give the address of its DICOMweb service, "
                "such as https://pacs.example.org/dicom-web."
            ) from error


def filters_of(words: Sequence[str]) -> dict[str, str]:
    """Return the filters that words such as ``ModalitiesInStudy=MR`` or ``00080061=MR`` name.

    Raises:
        InputError: a word has no value, or its name is no keyword and no tag of DICOM.
    """
    check_extra("dicom")
    from pydicom.datadict import tag_for_keyword

    filters = {}
    for word in words:
        name, _, value = word.partition("=")
        if not value or (tag_for_keyword(name) is None and not TAG.fullmatch(name)):
            raise InputError(
                f"filter '{word}' must be a keyword or tag of DICOM and a value. Write it like ModalitiesInStudy=MR or "
                "StudyDate=20261101-."
            )
        filters[name] = value
    return filters


def _checked(url: str) -> str:
    """Return an address that can be used.

    Raises:
        InputError: it is none, or holds a password.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or True)
    except ValueError:  # a port that is no number
        known = False
    if known and (parts.username is not None or parts.password is not None):
        where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise InputError(
            f"server '{where}' must be given without name and password, which others see in the list of processes. Set "
            f"{USER} and {PASSWORD}, or write them into a netrc file."
        )
    if not known or parts.query or parts.fragment:
        raise InputError(
            f"server '{url}' must be the address of a DICOMweb service. Write it like "
            "https://pacs.example.org/dicom-web."
        )
    return url


def _refusal(name: str, status: int, why: str) -> InputError:
    """Return the error that an answer of HTTP means."""
    if status in (401, 403):
        return NoAnswer(
            f"{name} must let csvd in, it answers {status} {why}. Set {USER} and {PASSWORD}, or {TOKEN}, or write name "
            "and password into a netrc file."
        )
    if status == 404:
        return InputError(
            f"{name} must be the address of a DICOMweb service, and have what was asked for: it answers 404 {why}. "
            "Check the address."
        )
    error = NoAnswer if status in (408, 429) or status >= 500 else InputError
    return error(f"{name} must do what it was asked for, it answers {status} {why}. Ask those who run the server.")


def _innermost(error: BaseException) -> str:
    """Return what the error that started a chain of the network's libraries says."""
    while True:
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        inner = inner or next((one for one in error.args if isinstance(one, BaseException)), None)
        if not isinstance(inner, BaseException):
            return str(getattr(error, "strerror", None) or error)
        error = inner


def _text(described: Mapping[str, Any], tag: str) -> str:
    """Return the first value of a tag in DICOM's JSON, empty without one."""
    return str((described.get(tag, {}).get("Value") or [""])[0])


def _uid(described: Mapping[str, Any], tag: str) -> str:
    """Return an identifier.

    Raises:
        ValueError: there is none.
    """
    uid = _text(described, tag)
    if not UID.fullmatch(uid):
        raise ValueError(f"{uid!r} is no identifier")
    return uid


def _number(described: Mapping[str, Any], tag: str) -> int | None:
    text = _text(described, tag)
    return int(text) if text.isdigit() else None
