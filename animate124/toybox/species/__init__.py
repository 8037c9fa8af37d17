"""Builders of the toybox's characters, one module per family of body plans."""
