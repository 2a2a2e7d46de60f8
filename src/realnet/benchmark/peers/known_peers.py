"""The peers there are, and how each is run on a small machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Option = bool | int | float | str | list[bool | int | float | str]


@dataclass(frozen=True)
class Peer:
    """A method of anomalib.

    Attributes:
        title: as papers write it.
        model: the class in ``anomalib.models``.
        networks: the feature extractors that it takes: None for any network of timm, empty where it has its own
            encoder or none; the first is taken where the configured one is not among them.
        stand_in: a name that anomalib insists on although the model works on any network of timm.
        taps: timm's feature indices of the layers that its authors chose (1, 2, 3: layer1, layer2, layer3 of a
            ResNet), handed to ``layers_option``; empty where the model chooses itself.
        options: of the constructor, beside anomalib's own defaults.
        epochs: of training, where nothing else is asked for; 1 for a memory filled in one pass.
        one_pass: fitted by passes over the images without gradients, which no time budget cuts short.
        batch_size: images a step.
        least_images: good images that it cannot do without.
        statistics: ``backbone`` (the input is normalised as the backbone expects it), ``imagenet`` or ``none``
            (0..1 as it is).
        textures_option: of the constructor, which names a folder of textures; empty where none is needed.
        patch: the side of the input is made a multiple of it.
        size_option: of the constructor, which is told the side of the input.
        downloads: what it fetches when it is first used, and where that can be put instead; empty: only the weights
            of the backbone.
        note: what a reader of its figures must know of it with these ``options``.
    """

    title: str
    model: str
    networks: tuple[str, ...] | None = ()
    stand_in: str = ""
    taps: tuple[int, ...] = ()
    layers_option: str = "layers"
    options: Mapping[str, Option] = field(default_factory=dict)
    epochs: int = 1
    one_pass: bool = False
    batch_size: int = 8
    least_images: int = 1
    statistics: str = "backbone"
    textures_option: str = ""
    patch: int = 1
    size_option: str = ""
    downloads: str = ""
    note: str = ""


_RESNETS = ("wide_resnet50_2", "resnet18", "resnet34", "resnet50")
_DINO = "the weights of {0} from timm's hub (huggingface.co, or its cache in HF_HOME)"
_TORCHVISION = "{0} from the site of PyTorch, or put into the folder hub/checkpoints of TORCH_HOME"
_RELEASE = "{0} from anomalib's releases on GitHub, or put into anomalib's cache as pre_trained/{1}"

PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "patchcore": Peer(
            "PatchCore", "Patchcore", None, taps=(2, 3), one_pass=True, options={"coreset_sampling_ratio": 0.01},
            note="PatchCore keeps 1% of the patches, its authors' smaller variant.",
        ),
        "padim": Peer(
            "PaDiM", "Padim", None, taps=(1, 2, 3), one_pass=True, options={"n_features": 100},
            note="PaDiM keeps 100 random features, its authors' choice for ResNet-18.",
        ),
        "mh_patchcore": Peer(
            "MH-PatchCore", "MHPatchcore", None, taps=(2, 3), one_pass=True, epochs=3,
        ),
        "dfm": Peer("DFM", "Dfm", None, taps=(3,), layers_option="layer", one_pass=True),
        "dfkde": Peer(
            "DFKDE", "Dfkde", None, taps=(4,), one_pass=True, least_images=16,
            note="DFKDE scores whole images: no anomaly maps.",
        ),
        "stfpm": Peer("STFPM", "Stfpm", None, taps=(1, 2, 3), epochs=100),
        "fastflow": Peer("FastFlow", "Fastflow", None, stand_in="resnet18", epochs=500),
        "cflow": Peer("CFlow", "Cflow", None, taps=(2, 3, 4), epochs=50),
        "fre": Peer("FRE", "Fre", None, taps=(3,), layers_option="layer", epochs=220),
        "supersimplenet": Peer("SuperSimpleNet", "Supersimplenet", None, taps=(2, 3), epochs=300),
        "patchflow": Peer("PatchFlow", "Patchflow", None, epochs=100),
        "glass": Peer(
            "GLASS", "Glass", None, taps=(2, 3), epochs=640, textures_option="anomaly_source_path",
            size_option="input_shape", options={"pretrain_embed_dim": 384, "target_embed_dim": 384},
            note="GLASS has 384 instead of 1536 embedding dimensions.",
        ),
        "reverse_distillation": Peer(
            "Reverse distillation", "ReverseDistillation", _RESNETS, taps=(1, 2, 3), epochs=200
        ),
        "uflow": Peer("U-Flow", "Uflow", ("wide_resnet50_2", "resnet18"), epochs=200),
        "cfa": Peer(
            "CFA", "Cfa", statistics="imagenet", epochs=30,
            downloads=_TORCHVISION.format("torchvision's weights of wide_resnet50_2"),
        ),
        "uninet": Peer(
            "UniNet", "UniNet", statistics="imagenet", epochs=100,
            downloads=_TORCHVISION.format("torchvision's weights of wide_resnet50_2"),
        ),
        "csflow": Peer(
            "CS-Flow", "Csflow", statistics="imagenet", epochs=240,
            downloads=_TORCHVISION.format("torchvision's weights of efficientnet_b5"),
        ),
        "draem": Peer(
            "DRAEM", "Draem", statistics="none", epochs=700, batch_size=2, textures_option="dtd_dir",
            options={"enable_sspcab": True}, note="DRAEM has the block SSPCAB.",
        ),
        "dsr": Peer(
            "DSR", "Dsr", statistics="none", epochs=100,
            downloads=_RELEASE.format("dsr_vq_model_pretrained.zip", "dsr/vq_model_pretrained_128_4096.pckl"),
            note="DSR teaches its upsampling in the last 30% of the epochs: choose epochs that fit the time budget.",
        ),
        "efficient_ad": Peer(
            "EfficientAD", "EfficientAd", statistics="none", epochs=300, batch_size=1, textures_option="imagenet_dir",
            downloads=_RELEASE.format("efficientad_pretrained_weights.zip", "efficientad_pretrained_weights/"),
            note="EfficientAD penalises its student on textures instead of ImageNet images, and scales its two maps by "
            "the training images instead of held-out ones.",
        ),
        "ganomaly": Peer(
            "GANomaly", "Ganomaly", statistics="imagenet", epochs=100,
            note="GANomaly scores whole images: no anomaly maps.",
        ),
        "dinomaly": Peer(
            "Dinomaly", "Dinomaly", statistics="imagenet", epochs=100, patch=14,
            options={"encoder_name": "vit_small_patch14_reg4_dinov2"},
            downloads=_DINO.format("vit_small_patch14_reg4_dinov2"),
        ),
        "inp_former": Peer(
            "INP-Former", "InpFormer", statistics="imagenet", epochs=200, patch=14,
            options={"encoder_name": "vit_small_patch14_reg4_dinov2"},
            downloads=_DINO.format("vit_small_patch14_reg4_dinov2"),
        ),
        "anomaly_dino": Peer(
            "AnomalyDINO", "AnomalyDINO", statistics="imagenet", one_pass=True, patch=14,
            downloads=_DINO.format("vit_small_patch14_dinov2"),
        ),
    }
)  # fmt: skip
"""The peers by the name that a configuration calls them."""
