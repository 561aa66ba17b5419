"""What work on a scan returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """What came of a scan.

    Attributes:
        record: the result, the same each time that the scan is worked on.
        seconds: that each step took.
    """

    record: dict[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
