"""Procedural truth: articulated, painted characters that move, rendered exactly from any view."""
