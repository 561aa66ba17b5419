"""Which participants and sessions of a BIDS folder to work on."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...checks import InputError

NAMED = 5
"""How many of the labels that there are an error names."""


@dataclass(frozen=True)
class Labels:
    """Participants and sessions, without ``sub-`` and ``ses-``; all of them where none is named.

    With sessions, scans that have none are left out.
    """

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()

    def patterns(self) -> Iterator[str]:
        """Yield the glob patterns of files in folders of data types."""
        sessions = [f"ses-{glob.escape(label)}" for label in self.sessions]
        for subject in [f"sub-{glob.escape(label)}" for label in self.participants] or ["sub-*"]:
            if not sessions:
                yield f"{subject}/*/sub-*"
            for session in sessions or ["ses-*"]:
                yield f"{subject}/{session}/*/sub-*"

    def include(self, case: str) -> bool:
        """Return whether a scan is one of them, by its BIDS name such as ``sub-01_ses-1_swi``."""
        subject, *others = case.split("_")
        session = next((part.removeprefix("ses-") for part in others[:1] if part.startswith("ses-")), None)
        of_participant = not self.participants or subject.removeprefix("sub-") in self.participants
        return of_participant and (not self.sessions or session in self.sessions)


def read_labels(root: Path, participants: Iterable[str], sessions: Iterable[str] = ()) -> Labels:
    """Return labels, which may have ``sub-`` and ``ses-`` in front, after a look at the folders of a data set.

    Args:
        root: its folder.
        participants: labels of participants; none for all.
        sessions: labels of sessions, of any of these participants; none for all.

    Raises:
        InputError: there is no such participant, or no such session of them.
    """
    people, visits = _without("sub-", participants), _without("ses-", sessions)
    _check("participant", "sub-", people, root.glob("sub-*"), root)
    folders = [root / f"sub-{label}" for label in people] or root.glob("sub-*")
    _check("session", "ses-", visits, (path for folder in folders for path in folder.glob("ses-*")), root)
    return Labels(people, visits)


def _without(prefix: str, labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label.removeprefix(prefix) for label in labels))


def _check(what: str, prefix: str, labels: tuple[str, ...], folders: Iterable[Path], root: Path) -> None:
    """Raise an InputError where one of the labels is that of no folder."""
    if not labels:
        return
    present = sorted({path.name for path in folders if path.is_dir()})
    unknown = [name for name in (f"{prefix}{label}" for label in labels) if name not in present]
    if not unknown:
        return
    more = f" and {len(present) - NAMED} more" if len(present) > NAMED else ""
    raise InputError(
        f"{what} '{', '.join(unknown)}' is not in BIDS folder '{root}', which has "
        f"{', '.join(present[:NAMED]) or f'no {what}'}{more}: correct --{what}-label."
    )
