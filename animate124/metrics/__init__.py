"""Evaluation against truth: images, geometry, motion, and the trivial baselines beside them.

Every metric is a pure function of float torch tensors; none uses a learned network.
"""
