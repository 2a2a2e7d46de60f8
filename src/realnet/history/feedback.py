"""What people's verdicts are good for: good images for the threshold, and defects to measure the inspector by."""

from dataclasses import dataclass

from realnet.errors import plural
from realnet.history.schema import Base

# An image counts once, with its latest verdict of a person and the score of the result that it was given on.
_CONFIRMED = """SELECT r.image, r.image_hash, r.score, f.label FROM feedback f JOIN results r ON r.id = f.result
    WHERE r.model_digest = ? AND r.score IS NOT NULL AND f.number = (
        SELECT max(g.number) FROM feedback g JOIN results s ON s.id = g.result
        WHERE s.image_hash = r.image_hash AND s.model_digest = r.model_digest)
    ORDER BY f.number"""


@dataclass(frozen=True)
class Confirmed:
    """Images that a person has confirmed, judged by one model: name, hash and score of each."""

    good: tuple[tuple[str, str, float], ...]
    defects: tuple[tuple[str, str, float], ...]

    def sentence(self, threshold: float) -> str:
        """How the model does on them under a threshold of the image score."""
        parts = []
        for images, noun, verdict in (
            (self.defects, "confirmed defect", "found"), (self.good, "confirmed good image", "rejected"),
        ):  # fmt: skip
            if images:
                above = sum(score > threshold for _, _, score in images)
                parts.append(f"of {plural(len(images), noun)} {above} {'is' if above == 1 else 'are'} {verdict}")
        return (", ".join(parts) or "no image is confirmed yet").capitalize() + "."


def read_confirmed(base: Base, model_digest: str) -> Confirmed:
    """The confirmed images that the model of this digest has judged; UserError where the file is damaged."""
    rows = base.ask(_CONFIRMED, model_digest)
    good, defects = (
        tuple((row["image"], row["image_hash"], row["score"]) for row in rows if row["label"] == label)
        for label in ("good", "defective")
    )
    return Confirmed(good, defects)
