"""The model card of a run: what it is, what it was trained on, what its figures mean; made anew by a calibration."""

from realnet.atomic import write_text
from realnet.calibration import Calibration
from realnet.config import Config
from realnet.record import Imported, Record
from realnet.run_folder import UNCALIBRATED, Run

CARD_FILE = "README.md"
_TRAINED = """# RealNet inspector: {products}

Trained by `realnet train` with preset `{config.preset}`, seed {config.seed},
on {training.good_images} good images ({training.held_out_images} more held out).
It gives a good/anomalous verdict and an anomaly map of images of the same product, taken in the same way.

| | |
|---|---|
| backbone | {model.backbone.name} (frozen), image size {model.image_size} x {model.image_size} |
| synthetic defects | {config.synthesis.source} |
| image score | {model.image_score} |
| steps | {training.progress}, {training.seconds} s |
| backbone weights | {weights} |
| threshold | {threshold} |
| validation image AUROC | {validation.image_auroc:.3f}: {validation.meaning} |
| hardware | {hardware} |

Load it with `realnet.load("THIS FOLDER").inspect("image.png")` or `realnet inspect THIS_FOLDER IMAGES --output DIR`.

**Limits.** {seen} Calibrate again (`realnet calibrate`) when camera, light or
product change. Figures on real test images, where some were evaluated, are in `metrics.json`.
The weights include the backbone's ImageNet weights, whose licence applies to them.
"""
_IMPORTED = """# RealNet inspector, imported

Imported by `realnet import-official` from `{imported.file}`, a checkpoint of the RealNet authors' released code{epoch}.

| | |
|---|---|
| backbone | {model.backbone.name} (frozen), image size {model.image_size} x {model.image_size} |
| reconstruction | {network.network}, architecture {network.architecture}, channels {dimensions} |
| residuals | {model.rrs.retention:.1%} of the channels, ranked by {model.rrs.mode} |
| image score | {model.image_score} |
| threshold | {threshold} |

Load it with `realnet.load("THIS FOLDER").inspect("image.png")` or `realnet inspect THIS_FOLDER IMAGES --output DIR`.

**Limits.** A checkpoint holds no threshold: choose one above the scores of good images before trusting a verdict. The
released code keeps the state that is best on the TEST images (oracle): figures on them flatter it. Images are resized
here by averaging areas, there by Pillow's bilinear filter, so scores differ a little. {assumed}
The weights are the authors' and include the backbone's ImageNet weights; the licences of both apply.
"""


def write_card(run: Run) -> None:
    """Write ``README.md`` of ``run``, if that says how it was trained or where from; UserError if it cannot be."""
    if run.record.imported is not None:
        text = _of_imported(run.config, run.record.imported, run.calibration)
    else:
        text = _of_trained(run.config, run.record, run.calibration)
    if text:
        write_text(run.folder / CARD_FILE, text)


def _of_trained(config: Config, record: Record, calibration: Calibration | None) -> str:
    training, validation = record.training, record.validation
    if training is None or validation is None or calibration is None:
        return ""
    oracle = config.training.select == "oracle"
    return _TRAINED.format(
        config=config, model=config.model, training=training, validation=validation,
        products=", ".join(training.categories),
        threshold=_threshold(calibration),
        weights=record.provenance.get("backbone_weights"),
        hardware=record.provenance.get("hardware"),
        seen="Its state was chosen by the TEST images (oracle): figures on them flatter it."
        if oracle
        else "It has seen no real defect.",
    )  # fmt: skip


def _of_imported(config: Config, imported: Imported, calibration: Calibration | None) -> str:
    return _IMPORTED.format(
        imported=imported, model=config.model, network=config.model.reconstruction,
        epoch="" if imported.epoch is None else f", epoch {imported.epoch}",
        dimensions=", ".join(map(str, config.model.afs.dimensions)),
        threshold=f"{UNCALIBRATED}: imported; not calibrated" if calibration is None else _threshold(calibration),
        assumed=" ".join(imported.assumed),
    )  # fmt: skip


def _threshold(calibration: Calibration) -> str:
    rule = (
        f"order statistic of the scores of {len(calibration.good_scores)} {calibration.source} for "
        f"{calibration.asked:g} false alarms"
    )
    promise = (
        f"a further good image exceeds it with probability at most {calibration.promised:.1%}"
        if calibration.promised < 1
        else "further good images may exceed it more often"
    )
    why = calibration.note.rstrip(".") or rule
    return f"{calibration.score:.4f} (calibration {calibration.version}): {why}; {promise}"
