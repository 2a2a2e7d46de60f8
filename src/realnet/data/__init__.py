"""Data sets as lists of samples, and images and masks as arrays."""

from realnet.data.checks import check_count, check_dataset
from realnet.data.finding import list_images
from realnet.data.good_images import GoodImages
from realnet.data.images import decode_image, image_from_array, read_image, resize_image
from realnet.data.masks import read_mask, read_truth
from realnet.data.notes import Notes
from realnet.data.opening import open_dataset, open_good, with_confirmed, with_further, without
from realnet.data.samples import Category, Sample, fingerprint
from realnet.data.summary import summarize
from realnet.data.survey import survey

__all__ = [
    "Category",
    "GoodImages",
    "Notes",
    "Sample",
    "check_count",
    "check_dataset",
    "decode_image",
    "fingerprint",
    "image_from_array",
    "list_images",
    "open_dataset",
    "open_good",
    "read_image",
    "read_mask",
    "read_truth",
    "resize_image",
    "summarize",
    "survey",
    "with_confirmed",
    "with_further",
    "without",
]
