"""Templates of the pages in one Jinja environment, which escapes all values except markup."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..lesions import LARGEST_MM
from ..lesions.limits import LIMITS, RESEARCH_USE
from ..lesions.table import UNKNOWN, size_of

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, /, **context: Any) -> str:
    """Return the HTML of a template.

    Args:
        template: file in ``templates/``.
        context: its variables. Text is escaped, markup is not.

    Raises:
        jinja2.UndefinedError: the template uses a variable that is not in ``context``.
    """
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals |= {
        "largest_mm": f"{LARGEST_MM:g} mm",
        "limits": LIMITS,
        "research_use": RESEARCH_USE,
        "source": _source,
        "unknown": UNKNOWN,
    }
    environment.filters |= {"as_words": as_words, "size_of": size_of}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def _source(name: str) -> Markup:
    """Return a style sheet or script as it is, for a ``style`` or ``script`` element."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def as_words(value: Any) -> str:
    """Return a value of a record as text: floats have four digits, commas separate the parts of lists and mappings."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(as_words(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {as_words(one)}" for name, one in value.items())
    return str(value)
