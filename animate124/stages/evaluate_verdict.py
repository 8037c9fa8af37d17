"""One word for a scene, and why: ok, static, exploded or drifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from animate124.settings.evaluate import VerdictSettings

OK, STATIC, EXPLODED, DRIFTED = "ok", "static", "exploded", "drifted"
_ORDER = (EXPLODED, DRIFTED, STATIC)  # which one is named where several hold


@dataclass(frozen=True)
class Check:
    """One limit: what breaks it (a verdict), the value, its limit, and a sentence about it."""

    verdict: str
    name: str
    value: float
    limit: float
    at_least: bool
    fault: str

    @property
    def good(self) -> bool:
        """Whether the value is within its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def record(self) -> dict[str, Any]:
        """As it stands in the metrics."""
        sign = ">=" if self.at_least else "<="
        return {"value": round(self.value, 4), "limit": f"{sign} {self.limit:g}", "good": self.good}


def checks(
    row: Mapping[str, Any],
    covered: tuple[float, float, float],
    touched: float,
    limits: VerdictSettings,
) -> list[Check]:
    """All that can be checked of a scored row.

    covered: `evaluate_scores.coverage`. touched: `Finished.touching`.
    """
    start, least, most = covered
    found = [
        Check(
            EXPLODED, "touching", touched, limits.touching, False,
            "matter fills {value:.2f} of the cube's faces",
        ),
        Check(
            EXPLODED, "coverage", start, limits.coverage, True,
            "at t = 0 it covers no more than {value:.3f} of the picture",
        ),
        Check(
            EXPLODED, "growth", most, limits.growth, False,
            "it grows to {value:.2f} times its size",
        ),
        Check(
            EXPLODED, "shrinking", least, limits.shrinking, True,
            "it shrinks to {value:.2f} times its size",
        ),
        Check(
            DRIFTED, "reference_psnr", row["reference_psnr"], limits.reference_psnr, True,
            "at t = 0 it matches the picture with no more than {value:.1f} dB",
        ),
        Check(
            DRIFTED, "reference_iou", row["reference_iou"], limits.reference_iou, True,
            "at t = 0 its silhouette and the picture's have an IoU of no more than {value:.2f}",
        ),
    ]  # fmt: skip
    if row.get("image_cosine") is not None:
        found.append(
            Check(
                DRIFTED, "similarity", row["image_cosine"], limits.similarity, True,
                "its unseen sides have a cosine of no more than {value:.2f} to the picture",
            )
        )  # fmt: skip
    if row.get("species_top1") is not None:
        seen = row["species_seen"]
        taken_for = max(sorted(seen), key=seen.__getitem__)
        found.append(
            Check(
                DRIFTED, "species", row["species_top1"], limits.species, True,
                "no more than {value:.2f} of its unseen sides show the right species, and most "
                f"often they show a {taken_for}",
            )
        )  # fmt: skip
    found.append(
        Check(
            STATIC, "amplitude", row["amplitude_of_subject"], limits.amplitude, True,
            "it hardly moves, with an amplitude of {value:.3f} of the subject's brightness",
        )
    )  # fmt: skip
    return found


def judge(found: list[Check]) -> tuple[str, str]:
    """The verdict, and its reason as one sentence."""
    bad = [check for check in found if not check.good]
    if not bad:
        value = {check.name: check.value for check in found}
        return OK, (
            f"It moves (amplitude {value['amplitude']:.2f} of the subject's brightness), keeps "
            f"{value['shrinking']:.0%} to {value['growth']:.0%} of its size, and matches the "
            f"picture at t = 0 with {value['reference_psnr']:.1f} dB."
        )
    verdict = min((check.verdict for check in bad), key=_ORDER.index)
    words = []
    for check in sorted(bad, key=lambda check: _ORDER.index(check.verdict)):
        word = "at least" if check.at_least else "at most"
        words.append(f"{check.fault.format(value=check.value)} ({word} {check.limit:g} is asked)")
    sentence = "; ".join(words)
    return verdict, f"{sentence[0].upper()}{sentence[1:]}."
