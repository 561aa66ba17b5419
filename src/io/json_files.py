"""JSON files that people and other programs write."""

import json
import os
from pathlib import Path
from typing import Any

from ..checks import InputError


def read_json(path: str | os.PathLike[str], name: str, advice: str = "correct it.") -> Any:
    """Return the content of a JSON file, in UTF-8 with or without a mark of it.

    Args:
        path: the file.
        name: words for it in errors.
        advice: what to do where it is no JSON.

    Raises:
        InputError: it is no JSON.
        OSError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{name} is not JSON ({error}): {advice}") from None
    except RecursionError:
        raise InputError(f"{name} is not JSON of csvd (brackets in too many others): {advice}") from None


def load_config(path: Path) -> dict[str, Any]:
    """Return the content of a config (JSON)."""
    content = read_json(path, f"config '{path}'")
    if not isinstance(content, dict):
        raise InputError(f"config '{path}' must hold values by name, it holds {content!r:.50}. Correct it.")
    return content
