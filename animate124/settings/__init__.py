"""Typed settings: one frozen pydantic model per stage, every field with its meaning and unit.

One module per stage, so that a change to one stage's settings concerns that stage alone. Reading
and checking them is `animate124.settings.base`.
"""
