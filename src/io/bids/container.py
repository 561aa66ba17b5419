"""The container that this process runs in, as BIDS has it."""

import os

TAG = "CSVD_CONTAINER_TAG"
"""Variable of the environment that the image sets to its own name."""

APPTAINER = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
"""Variables that Apptainer, and Singularity before it, set in each container."""


def container() -> dict[str, str] | None:
    """Return ``Type`` and ``Tag`` for ``GeneratedBy`` of a derivative; None outside of an image of csvd."""
    tag = os.environ.get(TAG)
    if not tag:
        return None
    names = (name.partition("_")[0].lower() for name in APPTAINER if os.environ.get(name))
    return {"Type": next(names, "docker"), "Tag": tag}
