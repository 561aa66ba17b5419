"""Names of files as text that every screen, table, page and disk can hold."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

LONGEST_BYTES = 200
"""Of the name of a folder: with the endings of the files in it, it stays below the 255 that most disks allow."""

SPECIAL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]|%(?=[0-9A-F]{2})|^\.+$")
NOT_UTF8 = re.compile("[\ud800-\udfff]")  # how Python holds bytes of a name that are not UTF-8


def shown(text: str) -> str:
    """Return a text whose control characters, and bytes that are not UTF-8, are shown as U+FFFD."""
    return "".join("\N{REPLACEMENT CHARACTER}" if not one.isprintable() and one != "\n" else one for one in text)


def storable(text: str) -> str:
    """Return a text that can be written as UTF-8: bytes that are not UTF-8 become U+FFFD, all else stays."""
    return NOT_UTF8.sub("\N{REPLACEMENT CHARACTER}", text)


def json_line(content: Any) -> str:
    """Return JSON in one line that any screen can show: what would steer a terminal is a number in it."""
    text = storable(json.dumps(content, ensure_ascii=False))
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def with_source(text: str, temporary: str, source: str) -> str:
    """Return a text that names what the user gave, ``source``, in place of files in a temporary folder."""
    return re.sub(re.escape(temporary) + r"[^'\s]*", lambda match: source, text)


def without_folders(text: str, *paths: str | os.PathLike[str]) -> str:
    """Return a text in which files are named without the folders that some paths lie in: they may name a person.

    Of ``'/data/scans/sub-01/x.nii'`` it leaves ``'sub-01/x.nii'`` where a path is ``/data/scans/y.nii``.
    """
    above = {str(folder) for path in paths for one in (Path(path), Path(path).absolute()) for folder in one.parents}
    for folder in sorted(above - {".", "/"}, key=len, reverse=True):
        text = re.sub(rf"(?<![^\s'\"(=\[]){re.escape(os.path.join(folder, ''))}", "", text)
    return text


def folder_name(text: str) -> str:
    """Return a name for the folder of a result, which screens, tables and JSON can hold too.

    Control characters and bytes that are not UTF-8 become ``%0A`` and the like, as does a ``%`` that could be mistaken
    for one; of long names the start is kept, and a code that tells them apart follows. Different names stay different,
    and most stay as they are.
    """
    name = SPECIAL.sub(lambda match: "".join(f"%{byte:02X}" for byte in _bytes(match[0])), text)
    if len(name.encode()) <= LONGEST_BYTES:
        return name
    code = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: LONGEST_BYTES - len(code) - 1].decode(errors='ignore')}~{code}"


def _bytes(text: str) -> bytes:
    """Return the bytes of a name on disk; of halves of characters, which JSON can hold but no disk, any that differ."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
