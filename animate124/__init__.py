"""From one image (or one static 3D asset) and one sentence to a moving 3D scene."""

__version__ = "0.1.0"
