"""Where the brain is."""
