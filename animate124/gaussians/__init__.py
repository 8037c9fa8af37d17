"""Clouds of 3D Gaussians: where they come from, how they move, how stiff they are, on disk."""
