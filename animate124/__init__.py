"""From one image (or one static 3D asset) and one sentence to a moving 3D scene."""

from animate124 import runtime

__version__ = "0.1.0"

# Thread counts, OpenMP's wait policy and malloc must be settled before torch or numba load;
# the package's own import is the one place that every way of using it passes through.
runtime.configure()
