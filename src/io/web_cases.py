"""Studies on a DICOMweb server as cases: each is fetched when its turn comes, and its results can be sent back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..checks import InputError
from .cases import Case
from .dicom.files import read_tags, values_of
from .dicom.web import DicomWeb, WebSeries
from .records import DICOM_ENDS


@dataclass(frozen=True)
class WebCase(Case):
    """A study on a server.

    Attributes:
        url: of the server.
        study: StudyInstanceUID.
        series: what the server had when it was asked.
    """

    url: str = ""
    study: str = ""
    series: tuple[WebSeries, ...] = ()

    @property
    def source(self) -> str:
        """The address of the server: no identifier of a study goes into results that show it."""
        return self.url

    @property
    def is_dicom(self) -> bool:
        """Always."""
        return True

    @property
    def images(self) -> list[WebSeries]:
        """Series that may be worked on."""
        return [one for one in self.series if one.modality == "MR"]

    def digests(self) -> Sequence[str | None]:
        """Names of the images, which are changed under new names alone."""
        return sorted(name for one in self.images for name in one.instances)

    def converted(self, workdir: Path) -> Case:
        """Fetch the study, and return the case with its scan as NIfTI, in ``workdir``.

        Raises:
            InputError: it has no MR image, or see :meth:`DicomWeb.fetch` and :meth:`Case.converted`.
        """
        if not self.images:
            others = ", ".join(sorted({one.modality or "unknown" for one in self.series}))
            raise InputError(f"study on server '{self.url}' must hold MR images, its series are of modality {others}.")
        folder = workdir / "dicom"
        files = DicomWeb(self.url).fetch(self.study, self.images, folder)
        return Case(self.name, folder, self.subject, dicom=tuple(files)).converted(workdir)


def web_case_name(study: str) -> str:
    """Return the name of a study's results: always the same, and none by which to look up the person."""
    return f"study-{sha256(study.encode()).hexdigest()[:12]}"


def find_web_case(server: DicomWeb, study: str) -> WebCase:
    """Return a study on a server.

    Raises:
        InputError: the server does not have it, or see :meth:`DicomWeb.series`.
    """
    series = server.series(study)
    if not series:
        raise InputError(f"server '{server.url}' must have study '{study}', it does not. Check the StudyInstanceUID.")
    name = web_case_name(study)
    return WebCase(name, Path(name), url=server.url, study=study, series=tuple(series))


def results_of(out: Path, case: str) -> dict[str, Path]:
    """Return the DICOM objects among the results of a case, by SOPInstanceUID."""
    paths = [out / case / f"{case}_{end}.dcm" for end in DICOM_ENDS]
    return {
        values_of(read_tags(path, ["SOPInstanceUID"]), "SOPInstanceUID")[0]: path for path in paths if path.exists()
    }


def stored_results(series: Sequence[WebSeries]) -> set[str]:
    """Return the SOPInstanceUID of the results of csvd among the series of a study."""
    return {name for one in series if one.own for name in one.instances}
