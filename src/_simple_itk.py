"""SimpleITK, loaded where it is needed and bound to one thread."""

from types import ModuleType


def load_simple_itk() -> ModuleType:
    """Return SimpleITK; its filters have one thread from then on, so that the same scan gives the same bits.

    Mutual information and N4 add up floats in as many parts as there are threads, in an order that varies.
    """
    import SimpleITK as sitk  # 0.2 seconds, which only scans with lesions to place and the paper's cascade need

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return sitk
