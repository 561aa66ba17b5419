"""Features of the cascade of Sundaresan et al. 2023: radial symmetry, vessels, inpainting."""
