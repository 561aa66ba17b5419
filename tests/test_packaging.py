"""The package, the environments and the archives name the same things and hold what they should."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import csvd
from csvd import checks
from csvd.workflows.pack import _bundle_files, _package_files, pack_bundle

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_USERS = [*PROJECT["dependencies"], *EXTRAS["dicom"], *EXTRAS["experiments"]]

DISTRIBUTIONS = {
    "PIL": "pillow",
    "dicomweb_client": "dicomweb-client",
    "ignite": "pytorch-ignite",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
"""What brings a module of another name."""
PIP = (sys.executable, "-m", "pip")


def run(*command, cwd, **settings):
    """Run a command without PYTHONPATH, unless it is set anew, and return what it prints."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings
    return subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def bundle(tmp_path):
    """Look-alike of a trained bundle, with the leftovers of its training."""
    contents = {
        "LICENSE": "Apache-2.0",
        "configs/metadata.json": "{}",
        "configs/inference.json": "{}",
        "docs/README.md": "# Card",
        "models/model.pt": "weights",
        "models/sequence.pt": "weights of the gate",
        "models/resume.pt": "optimiser",
        "eval/log.txt": "epoch 1",
        "runs/events.out.tfevents.1": "loss",
        "csvd/__init__.py": "an old copy",
        ".cache": "hidden",
    }
    for name, text in contents.items():
        path = tmp_path / "cmb_tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "cmb_tiny"


def test_conda_environment_names_the_dependencies_of_the_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip_lines = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert "-e .[dicom,experiments]" in pip_lines
    assert [line for line in pip_lines if not line.startswith("-")] == FOR_USERS


def test_constraints_pin_every_dependency_within_its_bounds():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    lines = [line.split("==") for line in lines if line and not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in lines}
    every = {Requirement(line) for line in [*FOR_USERS, *EXTRAS["docs"], *EXTRAS["dev"]]}
    for requirement in every - {Requirement("csvd[dicom,docs,experiments]")}:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_citation_names_the_version_and_the_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (csvd.__version__, PROJECT["license"])


def test_every_third_party_import_is_a_dependency():
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.split(".")[0])
    needed = {DISTRIBUTIONS.get(name, name) for name in imported - sys.stdlib_module_names}
    assert needed <= {Requirement(line).name for line in FOR_USERS}


def test_extra_of_developers_holds_all_others():
    assert EXTRAS.keys() - {"dev", "integration"} == Requirement(EXTRAS["dev"][0]).extras


@pytest.mark.parametrize("extra", checks.EXTRAS)
def test_package_checks_for_what_an_extra_installs(extra):
    names = [Requirement(line).name for line in EXTRAS[extra]]
    assert names == [DISTRIBUTIONS.get(name, name) for name in checks.EXTRAS[extra][1]]


def test_archive_holds_the_package_and_leaves_logs_and_checkpoints_out(bundle, tmp_path):
    with zipfile.ZipFile(pack_bundle(bundle, tmp_path / "tiny.zip")) as archive:
        names = {name.removeprefix("cmb_tiny/") for name in archive.namelist()}
    assert {name for name in names if not name.startswith("csvd/")} == {
        "LICENSE",
        "configs/metadata.json",
        "configs/inference.json",
        "docs/README.md",
        "models/model.pt",
        "models/sequence.pt",
    }
    assert {"csvd/__init__.py", "csvd/transforms/features/frst.py", "csvd/metrics/froc.py"} <= names
    assert {"csvd/report/templates/base.html", "csvd/report/templates/page.css"} <= names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.parametrize("name", ["cmb_detection", "csvd_classification"])
def test_archive_names_no_folder_of_a_person(name):
    """The Model Zoo refuses a bundle with such a path, in examples too."""
    for path in [*_bundle_files(ROOT / "bundles" / name), *_package_files(ROOT / "src")]:
        if path.suffix in {".json", ".yaml", ".yml", ".py", ".conf"}:
            assert not re.findall(r"/(?:home|Users|root)/[\w.-]+", path.read_text(encoding="utf-8")), path


def test_unpacked_bundle_imports_its_own_package(bundle, tmp_path):
    with zipfile.ZipFile(pack_bundle(bundle, tmp_path / "tiny.zip")) as archive:
        archive.extractall(tmp_path / "elsewhere")
    unpacked = tmp_path / "elsewhere" / "cmb_tiny"
    code = "from importlib.util import find_spec; print(find_spec('csvd.metrics').origin)"
    where = run(sys.executable, "-c", code, cwd=unpacked)
    assert Path(where.strip()) == unpacked / "csvd" / "metrics" / "__init__.py"


def test_same_bundle_gives_the_same_bytes(bundle, tmp_path):
    first = pack_bundle(bundle, tmp_path / "first.zip").read_bytes()
    os.utime(bundle / "LICENSE", (0, 0))
    assert pack_bundle(bundle, tmp_path / "second.zip").read_bytes() == first


def test_existing_archive_is_kept_unless_told_otherwise(bundle, tmp_path):
    archive = tmp_path / "tiny.zip"
    archive.write_text("precious")
    with pytest.raises(FileExistsError, match=r"tiny\.zip' exists already: give --overwrite"):
        pack_bundle(bundle, archive)
    assert archive.read_text() == "precious"
    assert zipfile.is_zipfile(pack_bundle(bundle, archive, overwrite=True))


def test_bundle_without_weights_is_refused_and_nothing_is_written(bundle, tmp_path):
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(ValueError, match=r"cannot pack bundle '.*cmb_tiny': it has no models/model\.pt"):
        pack_bundle(bundle, tmp_path / "tiny.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_bundle_whose_link_leads_out_of_it_is_refused(bundle, tmp_path):
    (tmp_path / "private.txt").write_text("none to give away")
    (bundle / "docs" / "also.md").symlink_to(bundle / "docs" / "README.md")
    pack_bundle(bundle, tmp_path / "tiny.zip")
    (bundle / "docs" / "other.md").symlink_to(tmp_path / "private.txt")
    with pytest.raises(ValueError, match=r"its docs/other\.md is a link to a file elsewhere"):
        pack_bundle(bundle, tmp_path / "other.zip")
    assert not (tmp_path / "other.zip").exists()


def test_unpacked_bundle_is_found_by_its_name_with_a_version_and_no_other(bundle, tmp_path):
    with zipfile.ZipFile(pack_bundle(bundle, tmp_path / "tiny.zip")) as archive:
        archive.extractall(tmp_path / "elsewhere")
    unpacked = (tmp_path / "elsewhere" / "cmb_tiny").rename(tmp_path / "elsewhere" / "cmb_tiny_v0.1.0")
    code = "from csvd.bundles import find_bundle; print(find_bundle('cmb_tiny')); find_bundle('csvd_tiny')"
    said = subprocess.run([sys.executable, "-c", code], cwd=unpacked, capture_output=True, text=True)
    assert Path(said.stdout.strip()) == unpacked
    assert "InputError: bundle 'csvd_tiny' did not come with this installation of csvd" in said.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Wheel of a copy of the sources, with the leftovers of a training."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves its traces beside pyproject.toml
    for part in ("src", "bundles"):
        copytree(ROOT / part, source / part, ignore=ignore_patterns("__pycache__", "eval"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        (source / file).write_bytes((ROOT / file).read_bytes())
    for name in ("models/teacher.pt", "eval/log.txt"):
        (source / "bundles" / "cmb_detection" / name).parent.mkdir(exist_ok=True)
        (source / "bundles" / "cmb_detection" / name).write_text("of a training")
    run(*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), ".", cwd=source)
    return next(folder.glob("csvd-*.whl"))


@pytest.mark.whole
def test_wheel_holds_the_package_and_its_bundles_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = wheel.parent / "source"
    sources = [*(source / "src").rglob("*.py"), *(source / "src" / "report" / "templates").iterdir()]
    modules = {f"csvd/{path.relative_to(source / 'src').as_posix()}" for path in sources}
    bundles = {
        f"csvd/bundles/{bundle.name}/{path.relative_to(bundle).as_posix()}"
        for bundle in (source / "bundles").iterdir()
        for path in _bundle_files(bundle)
    }
    assert {"csvd/bundles/cmb_detection/models/model.pt", "csvd/bundles/cmb_detection/LICENSE"} < bundles
    assert names == modules | bundles | {"csvd/py.typed"}


@pytest.mark.whole
@pytest.mark.parametrize("option", ["--target", "--prefix"])
def test_installed_package_finds_its_bundles_inside_and_packs_like_the_sources(wheel, tmp_path, option):
    # Without --ignore-installed, pip takes the csvd that runs this test away.
    how = ("--quiet", "--no-deps", "--no-index", "--ignore-installed", option, str(tmp_path / "here"))
    run(*PIP, "install", *how, str(wheel), cwd=tmp_path)
    package = next((tmp_path / "here").rglob("csvd/__init__.py")).parent
    code = (
        "import csvd; from csvd.bundles import find_bundle; from csvd.workflows.pack import pack_bundle;"
        "print(csvd.__file__);"
        "found = [find_bundle(name) for name in ('cmb_detection', 'csvd_classification')]; print(*found, sep='\\n');"
        "pack_bundle(found[0], 'installed.zip')"
    )
    said = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(package.parent)).split()
    names = ("__init__.py", "bundles/cmb_detection", "bundles/csvd_classification")
    assert said == [str(package / name) for name in names]
    for bundle in said[1:]:
        assert all((Path(bundle) / name).is_file() for name in ("configs/inference.json", "models/model.pt"))
    archives = (tmp_path / "installed.zip", pack_bundle(ROOT / "bundles" / "cmb_detection", tmp_path / "sources.zip"))
    installed, from_sources = (zipfile.ZipFile(archive).namelist() for archive in archives)
    assert installed == from_sources
