"""What an image shows, in the words of vendors and workstations; those of ImageType as in DICOM."""

import pytest

from csvd.io.dicom.image_kinds import derivation, image_kind, is_swi

PROJECTIONS = [
    (r"DERIVED\PRIMARY\MNIP\ND\NORM", "mIP_Images(SW)"),
    (r"DERIVED\PRIMARY\M\MIP\ND", "SWI"),
    (r"DERIVED\SECONDARY\OTHER\CSA MIP\\CSAPARALLEL\POSDISP", "<MIP Range[1]>"),
    (r"DERIVED\SECONDARY\MPR\CSA MPR\\CSAPARALLEL\M\ND", "SWI MinIP"),
    (r"DERIVED\SECONDARY\REFORMATTED\AVERAGE", "SWAN MinIP 8mm"),
    (r"DERIVED\SECONDARY\REFORMATTED\MIN IP", "Ax SWAN"),
    (r"DERIVED\SECONDARY\REFORMATTED\MIN", "Processed Images"),
    (r"DERIVED\SECONDARY\M\SWI\M\FFE", "sSWIp minIP"),
    (r"ORIGINAL\PRIMARY\PROJECTION IMAGE\M\FFE", "VEN_BOLD"),
    (r"ORIGINAL\PRIMARY\PROJECTION_IMAGE\M\FFE", "VEN_BOLD"),
    (r"DERIVED\SECONDARY\OTHER\SWI\MINIP", "FSBB MinIP"),
    (r"ORIGINAL\PRIMARY\M\ND", "SWI mIP"),
    (r"ORIGINAL\PRIMARY\M\ND", "SWI_minIP_8mm"),
    (r"ORIGINAL\PRIMARY\OTHER", "SWI min IP"),
    (r"ORIGINAL\PRIMARY\OTHER", "minimum intensity projection SWI"),
    (r"ORIGINAL\PRIMARY\OTHER", "SWI Minimum IP"),
    (r"ORIGINAL\PRIMARY\OTHER", "SWI Projektion"),
    (r"ORIGINAL\PRIMARY\OTHER", "SWImIP8"),
]
SWIS = [
    (r"ORIGINAL\PRIMARY\M\SWI\ND\NORM", "SWI_Images"),
    (r"ORIGINAL\PRIMARY\M\ND", "Ax SWI hemiparesis"),
    (r"ORIGINAL\PRIMARY\OTHER", "Ax SWAN"),
    (r"DERIVED\PRIMARY\SWI\M\FFE", "sSWIp"),
    (r"DERIVED\PRIMARY\OTHER\SWI", "FSBB"),
    (r"DERIVED\PRIMARY\OTHER", "FSBB"),
    (r"DERIVED\PRIMARY\M_FFE\M\FFE", "VEN_BOLD"),
    (r"ORIGINAL\PRIMARY\OTHER", "BSI tra"),
    (r"ORIGINAL\PRIMARY\M\NONE", "Susceptibility weighted"),
]
ORIGINALS = [
    (r"ORIGINAL\PRIMARY\M\ND\NORM", "Mag_Images"),
    (r"ORIGINAL\PRIMARY\M\ND\NORM", "t1_mpr_sag_p2"),
    (r"ORIGINAL\PRIMARY\M_FFE\M\FFE", "T2* FFE"),
    (r"ORIGINAL\PRIMARY\M\ND\NORM\FM\FIL\MEAN", "t2star"),
    (r"", "gre"),
]
OTHERS = [
    (r"DERIVED\SECONDARY\MPR\CSA MPR\\CSAPARALLEL\M\ND", "SWI cor", "reformatted image"),
    (r"DERIVED\SECONDARY\REFORMATTED\AVERAGE", "SWAN 2mm", "reformatted image"),
    (r"DERIVED\SECONDARY\OTHER", "SWI MPR tra", "reformatted image"),
    (r"DERIVED\PRIMARY\M\MEAN", "gre mean", "average"),
    (r"DERIVED\SECONDARY\OTHER", "SWI", "secondary image of a workstation"),
    (r"DERIVED\PRIMARY\DIFFUSION\ADC", "dwi_ADC", "derived image"),
]


@pytest.mark.parametrize(("types", "text"), PROJECTIONS)
def test_projections_of_every_vendor_are_known(types, text):
    assert image_kind(types.split("\\"), text) == "derived"
    assert derivation(types.split("\\"), text) == "intensity projection"


@pytest.mark.parametrize(("types", "text", "how"), OTHERS)
def test_other_derived_images_are_called_what_they_are(types, text, how):
    assert image_kind(types.split("\\"), text) == "derived"
    assert derivation(types.split("\\"), text) == how


@pytest.mark.parametrize(("types", "text"), SWIS)
def test_swi_of_every_vendor_is_kept_as_swi(types, text):
    assert image_kind(types.split("\\"), text) == "magnitude"
    assert is_swi(types.split("\\"), text)


@pytest.mark.parametrize(("types", "text"), ORIGINALS)
def test_originals_are_neither(types, text):
    assert image_kind(types.split("\\"), text) == "magnitude"
    assert not is_swi(types.split("\\"), text)


@pytest.mark.parametrize(
    ("types", "texts", "kind"),
    [
        (r"ORIGINAL\PRIMARY\P\ND", ["SWI"], "phase"),
        (r"ORIGINAL\PRIMARY\PHASE MAP\P\FFE", ["SWIp"], "phase"),
        (r"ORIGINAL\PRIMARY\OTHER", ["SWI", "relative phase map"], "phase"),
        (r"ORIGINAL\PRIMARY\OTHER", ["SWI", "Phase image"], "phase"),
        (r"ORIGINAL\PRIMARY\OTHER", ["FILT_PHA: Ax SWAN"], "phase"),
        (r"ORIGINAL\PRIMARY\OTHER", ["Pha_Images"], "phase"),
        (r"ORIGINAL\PRIMARY\M\ND", ["SWI", "phase images were used"], "magnitude"),
        (r"ORIGINAL\PRIMARY\OTHER", ["SWI", "phase encoding A>>P"], "magnitude"),
        (r"ORIGINAL\PRIMARY\OTHER", ["venous phase"], "magnitude"),
        (r"ORIGINAL\PRIMARY\R\REAL", ["gre"], "complex"),
        (r"ORIGINAL\PRIMARY\I\IMAGINARY", ["gre"], "complex"),
    ],
)
def test_phase_is_told_from_words_that_mean_something_else(types, texts, kind):
    assert image_kind(types.split("\\"), *texts) == kind
