"""From fields, Gaussians and meshes to pixels."""
