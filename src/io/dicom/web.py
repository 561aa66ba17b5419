"""Studies on a server that speaks DICOMweb: found by QIDO-RS, fetched by WADO-RS, results sent by STOW-RS."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...checks import InputError, check_extra
from ..records import OWN_SERIES
from .files import read_dicom
from .web_errors import NoAnswer, in_words_of_user
from .web_session import checked_url, open_session

UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
TAG = re.compile(r"[0-9A-Fa-f]{8}")
PAGE = 500
"""Answers asked for at a time: servers send no more than so many anyway."""
CHUNK_BYTES = 10_000_000
AS_STORED = (("application/dicom", "*"),)
"""In the transfer syntax in which a server keeps an image."""


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

    Name and password, or a token, come from the environment (see :mod:`csvd.io.dicom.web_session`), else from a netrc
    file. Certificates are verified; the environment variable ``REQUESTS_CA_BUNDLE`` names one's own authority.

    Args:
        url: of the service, without a slash at the end, such as ``https://pacs.example.org/dicom-web``.

    Raises:
        InputError: it is no address, or holds a password; csvd was installed without its extra for DICOM.
    """

    def __init__(self, url: str) -> None:
        self.url = checked_url(url).rstrip("/")
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
        with in_words_of_user(self.url):
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
        with in_words_of_user(self.url):
            described = self.client.search_for_series(study, fields=["SeriesDescription"])
            return [self._series(study, one) for one in described]

    def _series(self, study: str, described: Mapping[str, Any]) -> WebSeries:
        uid, modality = _uid(described, "0020000E"), _text(described, "00080060")
        known: set[str] = set()
        while True:
            page = self.client.search_for_instances(study, uid, limit=PAGE, offset=len(known))
            new = {_uid(one, "00080018") for one in page} - known
            if not new:
                break
            known |= new
        own = _text(described, "0008103E") == OWN_SERIES.get(modality)
        return WebSeries(uid, modality, own, tuple(sorted(known)))

    def fetch(self, study: str, series: Sequence[WebSeries], folder: Path) -> list[Path]:
        """Write the instances of series into a new folder, as the server has them, and return the files.

        Raises:
            InputError: the server sent others than it told of, or fewer.
        """
        folder.mkdir()
        files: list[Path] = []
        with in_words_of_user(self.url):
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
        with in_words_of_user(self.url):
            answer = self.client.store_instances([read_dicom(path, pixels=True) for path in files], study)
        failed = answer.get("FailedSOPSequence") or []
        if failed:
            codes = ", ".join(sorted({f"{int(one.get('FailureReason', 0)):#06x}" for one in failed}))
            raise InputError(
                f"server '{self.url}' must take the {len(files)} results, it refused {len(failed)} (reason {codes}). "
                "Ask those who run the server what it takes."
            )


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
