"""Sphinx extension: write one page of the API reference a package, from what the packages export."""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import csvd

LEFT_OUT = ("csvd.bundles", "csvd.cli")
"""Configs and weights; commands, which ``csvd --help`` explains."""


def find_modules() -> Iterator[ModuleType]:
    """Yield csvd and its public modules, packages first."""
    yield csvd
    found = [one for one in walk_packages(csvd.__path__, "csvd.") if not one.name.startswith(LEFT_OUT)]
    for one in sorted(found, key=lambda one: (not one.ispkg, one.name.count("."), one.name)):
        if "._" not in one.name:
            yield import_module(one.name)


def public_names(module: ModuleType, exported: set[object]) -> dict[str, str]:
    """Return what a module has for others, and the directives that document it.

    Args:
        module: with ``__all__``, its classes and functions count, else those that it defines; constants count where a
            docstring follows them.
        exported: classes and functions that a package exports already.
    """
    listed = getattr(module, "__all__", None)
    explained = {name for scope, name in ModuleAnalyzer.for_module(module.__name__).find_attr_docs() if not scope}
    found = {}
    for name, value in vars(module).items():
        if inspect.isclass(value) or inspect.isfunction(value):
            mine = value.__module__ == module.__name__ and not name.startswith("_")
            if (name in listed if listed else mine) and value not in exported:
                found[name] = f".. autoclass:: {name}" if inspect.isclass(value) else f".. autofunction:: {name}"
        elif name in explained and not name.startswith("_"):
            found[name] = f".. autodata:: {name}"
    return found


def make_pages() -> dict[str, list[str]]:
    """Return the lines of a page for each package that has names: what it exports, then what only its modules have."""
    pages: dict[str, list[str]] = {}
    filled: set[str] = set()
    exported: set[object] = set()
    for module in find_modules():
        title, is_package = module.__name__, hasattr(module, "__path__")
        package = title if is_package else str(module.__package__)
        names = public_names(module, exported)
        if is_package:
            exported |= {value for name in names if callable(value := getattr(module, name))}
            pages[title] = [title, "=" * len(title), "", f".. automodule:: {title}", "   :no-members:", ""]
        elif names:
            # Not automodule: some functions are named like their module, and the package exports them.
            head = [title, "-" * len(title), "", inspect.getdoc(module) or "", "", f".. currentmodule:: {title}", ""]
            pages[package] += head
        for directive in names.values():
            filled.add(package)
            pages[package] += [directive, ""]
    return {package: lines for package, lines in pages.items() if package in filled}


def write_pages(app: Sphinx) -> None:
    """Write ``<package>.rst`` beside this file, and remove the pages of packages that are no more."""
    folder = Path(__file__).parent
    pages = {folder / f"{package}.rst": "\n".join(lines) for package, lines in make_pages().items()}
    for old in folder.glob("csvd*.rst"):
        if old not in pages:
            old.unlink()
    for page, text in pages.items():
        if not page.exists() or page.read_text() != text:  # Sphinx reads again what is newer
            page.write_text(text)


def prepare_docstring(app: Sphinx, what: str, name: str, obj: object, options: dict, lines: list[str]) -> None:
    """Label the footnotes of each docstring, as all of a package are on one page, before napoleon reads it."""
    label = re.sub(r"\W+", "-", name)
    for n, line in enumerate(lines):
        line = re.sub(r"\[(\d+)\]_", rf"[#{label}-\1]_", line)
        lines[n] = re.sub(r"^(\s*\.\. )\[(\d+)\] ", rf"\1[#{label}-\2] ", line)
    if what in ("attribute", "data", "property"):
        lines.insert(0, "")  # else napoleon takes what stands before a colon for a type


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)
    return {"parallel_read_safe": True}
