"""The kinds of pictures, by name."""

from __future__ import annotations

TRAINED = ("loss", "path")
"""Those that show a run of training."""
KINDS = ("loss", "surface", "contour", "path", "fit", "weights")
