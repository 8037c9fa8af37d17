"""MV-VDM: the multi-view video diffusion network of Animate3D (arXiv 2407.11398)."""
