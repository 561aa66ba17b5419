"""The MR sequences that the gate tells apart, and which of them show microbleeds."""

SEQUENCES = ("T1", "T1c", "T2", "FLAIR", "DWI", "SWI", "T2*-GRE", "phase", "QSM", "other")

GROUPS: dict[str, str] = {
    "T1": "T1-like",
    "T1c": "T1-like",
    "T2": "T2-like",
    "FLAIR": "FLAIR",
    "DWI": "diffusion",
    "SWI": "T2*/SWI",
    "T2*-GRE": "T2*/SWI",
    "phase": "phase",
    "QSM": "QSM",
    "other": "none of these",
}
"""What is told apart with more certainty: groups of sequences that look alike."""

SUITABLE: dict[str, str] = {"SWI": "dark", "T2*-GRE": "dark", "QSM": "bright"}
"""The sequences that the detector takes, and how microbleeds look on them."""
