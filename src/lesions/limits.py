"""What every result says of itself: research use only, and its limits."""

RESEARCH_USE = "Research use only. Not a medical device: a person who reads such scans must check every result."
LIMITS = (
    "Vessels, calcifications, iron, sulci and air fields look like microbleeds, and small microbleeds are missed.",
    "Regions and sides are approximate: an affine map to MNI152, by registration or, where that is poor, by the "
    "bounding box of the brain mask, and rules there. Close to a border they may be wrong, and so may the pattern.",
    "A number or a pattern of microbleeds does not diagnose a disease.",
    "The probability is calibrated on planted and simulated microbleeds, not on those of your scanner.",
)
