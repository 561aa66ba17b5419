"""Labels, instances and outlines of lesions."""
