"""Phase images and QSM."""
