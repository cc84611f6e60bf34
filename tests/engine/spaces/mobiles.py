"""Mobile spaces to try: the presets, and one of any options."""

from engine.spaces.base import space_of
from engine.spaces.mobile import Mobile

from .specs import CIFAR, DIGITS, data_spec

IMAGENET = data_spec((3, 224, 224), 1000, "ImageNet size")
PRESETS = {p.name: p for p in Mobile.presets}


def preset(name: str, data=IMAGENET, **more) -> Mobile:
    return space_of(Mobile, Mobile.Options(**{**PRESETS[name].options, **more}), data)


def mobile(data=DIGITS, **options) -> Mobile:
    return space_of(Mobile, Mobile.Options(**options), data)


MACRO = preset("nasbench_macro", CIFAR)
V3_LARGE = (
    "w16 relu k3_e1 | w24 relu k3_e4 k3_e3 | w40 relu k5_e3_se k5_e3_se k5_e3_se | "
    "w80 hard_swish k3_e6 k3_e2.5 k3_e2.3 k3_e2.3 | w112 hard_swish k3_e6_se k3_e6_se | "
    "w160 hard_swish k5_e6_se k5_e6_se k5_e6_se"
)
