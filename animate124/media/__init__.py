"""Files on disk: atomic writes, tensors, images, video, point clouds and meshes."""
