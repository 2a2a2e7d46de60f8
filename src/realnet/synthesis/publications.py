"""Where the defects called by the names of publications differ from these: said wherever their figures stand."""

DEPARTURES = {
    # Against arXiv 2109.15222 and the settings of its authors' code.
    "nsa": (
        "unlike its publication: sides of patches follow the distribution that it has for half sides, so patches "
        "are half as long, with one setting for all products (there limits, numbers of patches and overlaps are "
        "chosen by product); one to three patches, equally likely (there one, and more by the toss of a coin); "
        "resized uniformly by 0.7 to 1.3 (there a clipped normal around 1), every second one turned; "
        "70% blended by the patch's gradients and 30% by mixed ones (there all by one kind), every second one "
        "within a round outline; flat patches gain contrast; the label is where the local mean visibly changed "
        "(there where the grey level changed by more than one, or a logistic of the change), and invisible "
        "defects are drawn anew"
    ),
    # Against arXiv 2104.04015, Sec. 2 and its appendix: sizes, aspect ratios, turns and jitter are the same.
    "cutpaste": (
        "unlike its publication: patches and scars in equal numbers in one class; a patch is centred on the "
        "foreground (there anywhere); scars grow with the image; the label, which it does not have, is where the "
        "pixels visibly changed, and invisible defects are drawn anew"
    ),
}
"""By the name of the synthesis: a phrase for a table's remarks."""
