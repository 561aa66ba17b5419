"""What csvd does where its optional dependencies are not installed."""

import subprocess
import sys
from pathlib import Path

import pytest
from small_bundle import write_bundle, write_scan

from csvd.checks import EXTRAS

ALL = [name for _, modules in EXTRAS.values() for name in modules]
DICOM = bytes(128) + b"DICM"


def test_each_part_runs_without_the_packages_that_others_need(tmp_path):
    """In one process, which gets one package after the other.

    A server that trains needs neither the simulator nor the template that comes with nilearn; where a packed bundle
    runs, statsmodels and scikit-learn need not be installed; detection and simulation need no extra.
    """
    write_scan(tmp_path / "sub-01_swi.nii.gz", 0)
    bundle = write_bundle(tmp_path / "bundle")
    code = (
        f"import sys; missing = {[*ALL, 'nilearn']}; sys.modules.update(dict.fromkeys(missing));"
        "import csvd.engines, csvd.inferers, csvd.losses, csvd.transforms; del sys.modules['nilearn'];"
        "import csvd.metrics; del sys.modules['requests'], sys.modules['sklearn'];"  # nilearn has them
        "import csvd.cli, csvd.phantom, csvd.workflows.demo; sys.argv = ['csvd', *sys.argv[1:]];"
        f"sys.path.append({str(Path(__file__).parent)!r}); csvd.cli.main()"
    )
    words = ("detect", str(tmp_path / "sub-01_swi.nii.gz"), "--out", str(tmp_path / "out"), "--bundle", str(bundle))
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "sub-01_swi" / "sub-01_swi_lesions.tsv").exists()


@pytest.mark.parametrize("command", ["detect", "sort"])
@pytest.mark.parametrize("missing", EXTRAS["dicom"][1])
def test_dicom_without_its_extra_ends_with_one_line_that_tells_what_to_install(
    csvd, bundle, tmp_path, monkeypatch, command, missing
):
    study = tmp_path / "study"
    study.mkdir()
    (study / "1.dcm").write_bytes(DICOM)
    monkeypatch.setitem(sys.modules, missing, None)
    out = ("--out", tmp_path / "out") if command == "detect" else ()
    code, output, errors = csvd(command, study, *out, "--bundle", bundle)
    assert (code, output) == (2, "")
    assert errors == [f"csvd: DICOM needs the Python packages {missing}: pip install 'csvd[dicom]'"]


@pytest.mark.parametrize("words", [("experiment", "seeds"), ("evaluate", "detection", "cohort")])
def test_experiment_without_its_extra_ends_with_one_line_that_tells_what_to_install(csvd, tmp_path, monkeypatch, words):
    for name in ("statsmodels", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    code, output, errors = csvd(*words, "--out", tmp_path / "out")
    assert (code, output) == (2, "")
    assert errors == [
        "csvd: this command needs the Python packages matplotlib, statsmodels: pip install 'csvd[experiments]'"
    ]
    assert not (tmp_path / "out").exists()
