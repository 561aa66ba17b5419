"""Input and output of the classifier of subtypes."""
