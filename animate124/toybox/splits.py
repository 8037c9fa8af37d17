"""Train, dev and test by seed: disjoint by construction, and easy to enumerate.

Of every twenty seeds the first eighteen train, the next is dev and the last is test. A character is
a function of its seed alone (per species), so no character is in two splits.
"""

from animate124.errors import UserError

BLOCK = 20
SPLITS: dict[str, tuple[int, ...]] = {"train": tuple(range(18)), "dev": (18,), "test": (19,)}


def split_of(seed: int) -> str:
    """The split of a seed ≥ 0: "train" (90 %), "dev" or "test" (5 % each)."""
    if seed < 0:
        raise UserError(f"toybox seed {seed} is negative; seeds start at 0")
    residue = seed % BLOCK
    return next(name for name, residues in SPLITS.items() if residue in residues)


def seeds(split: str, count: int, start: int = 0) -> list[int]:
    """`count` seeds of a split in rising order, skipping its first `start`."""
    if split not in SPLITS:
        raise UserError(f"unknown toybox split {split!r}; choose one of {', '.join(SPLITS)}")
    residues = SPLITS[split]
    return [
        BLOCK * (k // len(residues)) + residues[k % len(residues)]
        for k in range(start, start + count)
    ]
