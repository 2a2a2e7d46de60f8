"""The one configuration tree: typed, validated before anything starts, saved with every model and result."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
# Upper bounds of what shapes a network: a configuration from elsewhere must not keep the machine busy or fill it.
Width = Annotated[int, Field(ge=1, le=16384)]
ImageScore = Literal["max", "pooled16", "top"]
DiscriminatorKind = Literal["paper", "evidence"]
SynthesisName = Literal["dtd", "nsa", "cutpaste", "sia", "mix"]


class Node(BaseModel):
    """A table of typed fields: no others, none changed afterwards, every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    def to_json(self) -> str:
        """Indented JSON, which ``model_validate_json`` reads."""
        return self.model_dump_json(indent=2)


class BackboneConfig(Node):
    """The frozen feature extractor phi.

    ``taps`` are the timm feature indices handed on, finest first; ``tag`` which of timm's weights of that network, such
    as ``tv_in1k``, torchvision's (None: those of the released code, or timm's default for a network that it does not
    know); ``weights`` a local file instead of them;
    ``standardise`` brings each feature to zero mean and unit deviation over the good images.
    """

    name: str = "wide_resnet50_2"
    taps: tuple[int, ...] = Field((1, 2, 3, 4), min_length=1)
    tag: str | None = None
    weights: Path | None = None
    standardise: bool = False


class AfsConfig(Node):
    """AFS (Eq. 4) and its alternatives of Tab. 5a; ``dimensions`` are the paper's m_k, ignored by ``none``.

    ``align`` is whose resolution differences and masks are compared at: the ``mask``'s, as Eq. 4 is printed, or the
    ``features``', as in the released code.
    """

    method: Literal["afs", "rdr", "rlpr", "none"] = "afs"
    align: Literal["mask", "features"] = "mask"
    dimensions: tuple[Width, ...] = (256, 512, 512, 256)
    batches: int = Field(64, ge=1)
    batch_size: int = Field(16, ge=1)


class ReconstructionConfig(Node):
    """The networks G_k: their arrangement (App. C.4: A independent, B aligned, C neighbouring) and their kind.

    ``width`` is the base width as a share of m_k, ``residual_blocks`` the number a level (``simple``: of its stack).
    ``subspace`` is no network: G_k is the orthogonal projection onto the principal subspace of the good images, solved
    and not trained. It keeps the share ``variance`` of their variance, in at most ``components`` directions, and is
    fitted to at most ``fit_images`` images and augmented copies, drawn at random from more.
    """

    architecture: Literal["A", "B", "C"] = "A"
    network: Literal["unet", "simple", "subspace"] = "unet"
    width: float = Field(0.5, gt=0, le=8)
    multipliers: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field((1, 2, 4), min_length=1, max_length=8)
    residual_blocks: int = Field(2, ge=1, le=64)
    attention_at: tuple[int, ...] = (2, 4)
    head_channels: int = Field(64, ge=1)
    variance: float = Field(0.95, gt=0, le=1)
    components: int = Field(256, ge=1, le=4096)
    fit_images: int = Field(800, ge=2, le=20000)


class RrsConfig(Node):
    """RRS: which share P of the residual channels is handed to the discriminator, ranked by what.

    ``momentum`` is the weight of each batch in the running statistics that the paper's discriminator ranks by: at 0.1
    they rest on the last few hundred images, at 0.9, the released code's, on little more than the last batch. With
    ``discriminator.kind=evidence`` good images set them, and P is the share of each layer.
    """

    mode: Literal["max", "mean", "max&mean", "off"] = "max&mean"
    retention: float = Field(1 / 3, gt=0, le=1)
    momentum: float = Field(0.1, gt=0, le=1)

    @field_validator("mode", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        """YAML reads a bare ``off`` as false."""
        return "off" if value is False else value


TOP_SHARE = 0.006
"""Share of the pixels whose mean is the image score ``top``."""

GENERAL_TAPS = ("tf_efficientnet_lite0", (2, 3, 4))
"""The backbone and taps whose standardised residuals, one network a tap, the general head knows."""
GENERAL_WIDTH = 64
"""The general head's own width."""


class DiscriminatorConfig(Node):
    """What turns residuals into an anomaly map.

    ``paper`` is the paper's network, of ``residual_layers`` and ``widths``. ``evidence`` adds up, layer by layer, the
    standardised log energies of the residuals, weighted by ``layer_weights`` (None: all 1), and what ``heads`` small
    networks of ``width`` channels say, each trained without its share of the good images: ``learned`` times as much as
    the evidence. Where the residuals are those of ``GENERAL_TAPS`` and ``width`` is that of the package's general
    head, they start as that, and count in the score even where no step is trained, ``general`` times (0: they start at
    random). ``channel_dropout`` is the share of residual channels that a step hides from the heads.
    """

    kind: DiscriminatorKind = "paper"
    residual_layers: int = Field(2, ge=0, le=64)
    widths: tuple[Width, Width, Width, Width] = (128, 32, 8, 4)
    layer_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    heads: int = Field(2, ge=1, le=16)
    width: Width = GENERAL_WIDTH
    channel_dropout: float = Field(0.1, ge=0, lt=1)
    learned: float = Field(1.0, gt=0)
    general: float = Field(0.0, ge=0)


class ViewConfig(Node):
    """Where to look, and whether images are first brought to where a reference image has the part.

    ``polygons`` are in shares of the image, ``(x, y)``; a place that an odd number of them surround is looked at; none:
    everywhere. ``align`` brings the part to where ``reference`` has it: ``shift`` moves the image, ``rigid`` turns it,
    too. ``match`` is the least correlation with the reference, ``reach`` the largest move as a share of the image's
    sides; what goes beyond either is refused.
    """

    polygons: tuple[Annotated[tuple[tuple[Fraction, Fraction], ...], Field(min_length=3, max_length=4096)], ...] = (
        Field((), max_length=1024)
    )
    align: Literal["none", "shift", "rigid"] = "none"
    reference: Path | None = None
    match: float = Field(0.5, ge=0, le=1)
    reach: float = Field(0.2, gt=0, le=0.5)

    @model_validator(mode="after")
    def _alignment_has_a_reference(self) -> "ViewConfig":
        if self.align != "none" and self.reference is None:
            raise ValueError(f"model.view.align={self.align} needs an image to align to: name model.view.reference")
        return self

    @property
    def asked(self) -> bool:
        """Whether images are seen otherwise than whole and as they are."""
        return bool(self.polygons) or self.align != "none"


class ModelConfig(Node):
    """Everything that shapes the network and the score it gives.

    ``tile``, where given, is the side in pixels of the squares that images are cut into, each resized to ``image_size``
    and judged by itself: for images that are much larger than that, with defects that resizing would lose.
    """

    image_size: int = Field(256, ge=32, le=8192, multiple_of=32)
    tile: int | None = Field(None, ge=32)
    view: ViewConfig = ViewConfig()
    image_score: ImageScore = "max"
    backbone: BackboneConfig = BackboneConfig()
    afs: AfsConfig = AfsConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    rrs: RrsConfig = RrsConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()

    @model_validator(mode="after")
    def _one_dimension_a_tap(self) -> "ModelConfig":
        if self.afs.method != "none" and len(self.afs.dimensions) != len(self.backbone.taps):
            raise ValueError(
                f"model.afs.dimensions names {len(self.afs.dimensions)} widths for "
                f"{len(self.backbone.taps)} model.backbone.taps; give one a tap"
            )
        return self

    @model_validator(mode="after")
    def _evidence_knows_good_residuals(self) -> "ModelConfig":
        if self.discriminator.kind == "evidence" and self.reconstruction.network != "subspace":
            raise ValueError(
                "model.discriminator.kind=evidence measures residuals in units of good images that the reconstruction "
                "has not seen, which only model.reconstruction.network=subspace has; choose kind=paper"
            )
        return self

    @property
    def general(self) -> float:
        """How much heads count that know other products only: 0 where these residuals are none that they know."""
        known = (
            self.discriminator.width == GENERAL_WIDTH
            and (self.backbone.name, self.backbone.taps) == GENERAL_TAPS
            and self.backbone.standardise
            and self.afs.method != "rlpr"
            and self.reconstruction.architecture == "A"
        )
        return self.discriminator.general if known else 0.0


class MixtureConfig(Node):
    """Weights of the parts of ``mix``; ``dtd`` and ``sia`` count only where ``directory`` or ``generated`` is given.

    ``least_change`` is how many grey levels a blend of ``dtd`` or ``sia`` changes on average in ``mix``, at least;
    another is drawn instead. By themselves they are used as they come, as in the paper. The other parts are of our own
    making, or label what is seen to have changed, and are never fainter than 6.
    """

    nsa: float = Field(0.4, ge=0)
    cutpaste: float = Field(0.5, ge=0)
    scar: float = Field(0.25, ge=0)
    texture: float = Field(2.0, ge=0)
    structure: float = Field(1.0, ge=0)
    dtd: float = Field(2.0, ge=0)
    sia: float = Field(2.0, ge=0)
    least_change: float = Field(6.0, ge=0, le=64)


class SynthesisConfig(Node):
    """How anomalies are made of good images (Eq. 3).

    ``source`` names the kind, ``directory`` the folder of textures (dtd, mix) or generated images (sia),
    ``generated`` the folder of generated images that ``mix`` takes in as well;
    ``opacity`` is the range of delta (None: 0.2..1 for dtd, 0.5..1 for sia, the source's own otherwise);
    ``foreground`` is ``auto``, ``none`` (whole image), the released code's choice for a category by its name, or
    ``known``: that choice where data set and category are among its 36, otherwise ``auto``;
    ``faint`` is the share of defects that are made with delta ~ U(0.1, 0.6) instead, whatever the source.
    """

    source: SynthesisName = "mix"
    directory: Path | None = None
    generated: Path | None = None
    opacity: tuple[Fraction, Fraction] | None = None
    foreground: str = "auto"
    faint: Fraction = 0.0
    mixture: MixtureConfig = MixtureConfig()


class ToleranceConfig(Node):
    """How far a good part may be from the good images and still be good, in either direction.

    ``shift`` in shares of the image's side, ``rotation`` in degrees, ``light`` as a share of its brightness.
    """

    shift: float = Field(0.0, ge=0, le=0.25)
    rotation: float = Field(0.0, ge=0, le=45)
    light: float = Field(0.0, ge=0, le=0.5)

    @property
    def asked(self) -> bool:
        """Whether any is given."""
        return self.shift > 0 or self.rotation > 0 or self.light > 0


class TrainingConfig(Node):
    """Optimisation. ``steps``, where given, replaces ``epochs``; half of each batch is normal, half anomalous.

    ``fresh_anomalies`` new synthetic defects are made a step (None: half a batch) and join a window of the last
    ``anomaly_window`` ones, of which each step draws half a batch: on a CPU a defect serves more than once, as
    its backbone features are what costs most. Good images' features are cached up to ``cache_gigabytes``.
    ``false_alarms`` is the share of good images that the threshold may reject, as far as the good images can promise.
    ``select`` names what the kept state is chosen by: good images not trained on with synthetic defects
    (``validation``), nothing (``last``: the state after the last step is kept), or (``oracle``) the mean of image and
    pixel AUROC of the test images, as in the released code, for comparison with published tables only. The best is
    kept, of equally good states the last; after ``patience`` validations without a better one training ends.
    ``validation_share=0`` trains on all good images, which leaves ``validation`` nothing to choose by.

    With ``model.reconstruction.network=subspace`` nothing is held out, so ``validation_share``, ``fresh_anomalies`` and
    ``anomaly_window`` do not apply: each of ``folds`` parts of the good images is judged by what the others span, and
    ``defects`` synthetic defects are made once. ``augmentation`` says how far copies of the good images that join the
    subspace are moved, turned and made lighter or darker (``auto``: not at all or ``strong``, whichever tells good
    images from faint defects better); ``tolerance``, where given, is what they cover instead. ``steps=0`` learns
    nothing. ``keep_features`` keeps what further good images need to join the finished run (0.2 MB an image or copy).
    """

    batch_size: int = Field(16, ge=2, multiple_of=2)
    fresh_anomalies: int | None = Field(None, ge=1)
    anomaly_window: int | None = Field(None, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    epochs: int = Field(1000, ge=1)
    steps: int | None = Field(None, ge=0)
    select: Literal["validation", "last", "oracle"] = "validation"
    reconstruction_weight: float = Field(1.0, ge=0)
    segmentation_weight: float = Field(1.0, ge=0)
    false_alarms: float = Field(0.01, gt=0, lt=1)
    validation_share: float = Field(0.1, ge=0, lt=0.5)
    validation_every: int = Field(100, ge=1)
    patience: int = Field(20, ge=1)
    cache_gigabytes: float = Field(4.0, ge=0)
    workers: int = Field(0, ge=0)
    folds: int = Field(4, ge=2, le=50)
    defects: int = Field(480, ge=8, le=100_000)
    augmentation: Literal["auto", "none", "weak", "strong"] = "auto"
    tolerance: ToleranceConfig = ToleranceConfig()
    keep_features: bool = True

    @model_validator(mode="after")
    def _window_holds_half_a_batch(self) -> "TrainingConfig":
        if self.window < max(self.fresh, self.batch_size // 2):
            raise ValueError(
                f"training.anomaly_window={self.window} is smaller than half a batch "
                f"({self.batch_size // 2}) or training.fresh_anomalies ({self.fresh})"
            )
        return self

    @property
    def fresh(self) -> int:
        """New synthetic defects a step."""
        return self.fresh_anomalies or self.batch_size // 2

    @property
    def window(self) -> int:
        """Synthetic defects at hand."""
        return self.anomaly_window or max(self.fresh, self.batch_size // 2)


class DataConfig(Node):
    """How images are read.

    ``levels``: the stored values that are black and white in images of more than 8 bits, with a sign or of floats, as
    ``LOW:HIGH`` such as ``0:4095``. None: found in the good images when training begins, and saved; images that are all
    of 8 bits need none.
    """

    levels: str | None = None

    @field_validator("levels")
    @classmethod
    def _two_numbers(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                low, high = (float(part) for part in text.split(":"))
            except ValueError:
                low, high = math.nan, math.nan
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"{text!r} is not LOW:HIGH, two numbers of which the second is larger, such as 0:4095")
        return text

    @property
    def pair(self) -> tuple[float, float] | None:
        """The values that are black and white."""
        if self.levels is None:
            return None
        low, high = self.levels.split(":")
        return float(low), float(high)


class Config(Node):
    """The whole tree, as saved in ``config.yaml`` of a run."""

    preset: str = "paper"
    seed: int = Field(0, ge=0)
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _settings_fit_each_other(self) -> "Config":
        if self.training.steps == 0 and self.model.discriminator.kind != "evidence":
            raise ValueError(
                "training.steps=0 learns nothing, which only model.discriminator.kind=evidence can judge without"
            )
        held_out = self.training.validation_share > 0 or self.model.reconstruction.network == "subspace"
        if self.training.select == "validation" and not held_out:
            raise ValueError(
                "training.select=validation chooses by good images that are held out, and training.validation_share=0 "
                "holds none out: set a share such as 0.1, or training.select=last"
            )
        if self.training.tolerance.asked and self.model.reconstruction.network != "subspace":
            raise ValueError("training.tolerance needs model.reconstruction.network=subspace, as preset lite has it")
        return self

    @model_validator(mode="after")
    def _parts_are_no_products(self) -> "Config":
        for name, asked, does in (
            ("model.tile", self.model.tile is not None, "cuts images into tiles"),
            ("model.view", self.model.view.asked, "shows a part of the image"),
        ):
            if asked and self.training.select == "oracle":
                raise ValueError(f"training.select=oracle compares with published tables, which know no {name}")
            if asked and (self.synthesis.source == "sia" or self.synthesis.generated is not None):
                raise ValueError(
                    f"{name} {does}, and generated images show whole products: "
                    "choose synthesis.source=mix, nsa, cutpaste or dtd, without synthesis.generated"
                )
        return self
