"""Published mobile spaces as options. Sizes and option sets are those of the papers; images as large as the data's."""

from __future__ import annotations

from typing import Any

from engine.spaces._offers import Preset


def _stage(width: int, depth: int | list[int], stride: int = 1, **more: Any) -> dict[str, Any]:
    return {"width": [width], "depth": [depth] if isinstance(depth, int) else depth, "stride": stride, **more}


_V3: dict[str, Any] = {
    "stem_width": 16, "stem_stride": 2, "stem_activation": "hard_swish",
    "head_conv": 960, "head_dense": 1280, "head_activation": "hard_swish", "dropout": 0.2,
}  # fmt: skip

_MOBILENETV3: dict[str, Any] = {
    **_V3,
    "stages": [
        _stage(16, 1, kernel=[3], expansion=[1.0], se=[False], activation=["relu"]),
        _stage(24, [1, 2, 3], 2, activation=["relu"]),
        _stage(40, [2, 3, 4], 2, activation=["relu"]),
        _stage(80, [2, 3, 4], 2, activation=["hard_swish"]),
        _stage(112, [1, 2, 3], activation=["hard_swish"]),
        _stage(160, [2, 3, 4], 2, activation=["hard_swish"]),
    ],
    "kernel": [3, 5], "expansion": [2.3, 2.5, 3.0, 4.0, 6.0], "se": [False, True],
}  # fmt: skip

_OFA: dict[str, Any] = {
    **_V3,
    "stages": [
        _stage(16, 1, kernel=[3], expansion=[1.0], se=[False], activation=["relu"]),
        _stage(24, [2, 3, 4], 2, se=[False], activation=["relu"]),
        _stage(40, [2, 3, 4], 2, se=[True], activation=["relu"]),
        _stage(80, [2, 3, 4], 2, se=[False], activation=["hard_swish"]),
        _stage(112, [2, 3, 4], se=[True], activation=["hard_swish"]),
        _stage(160, [2, 3, 4], 2, se=[True], activation=["hard_swish"]),
    ],
    "kernel": [3, 5, 7], "expansion": [3.0, 4.0, 6.0], "resolution": list(range(128, 225, 4)), "dropout": 0.1,
}  # fmt: skip

_PROXYLESS: dict[str, Any] = {
    "stages": [
        _stage(16, 1, kernel=[3], expansion=[1.0], se=[False]),
        _stage(24, 4, 2), _stage(40, 4, 2), _stage(80, 4, 2), _stage(96, 4), _stage(192, 4, 2), _stage(320, 1),
    ],
    "operations": ["k3_e3", "k3_e6", "k5_e3", "k5_e6", "k7_e3", "k7_e6", "skip"],
    "activation": ["relu6"], "stem_width": 32, "stem_stride": 2, "stem_activation": "relu6",
    "head_conv": 1280, "head_activation": "relu6",
}  # fmt: skip
# the last stage is one block, which changes the width: it is never skipped
_PROXYLESS["stages"][-1]["operations"] = _PROXYLESS["operations"][:-1]

_FBNET: dict[str, Any] = {
    "stages": [
        _stage(16, 1), _stage(24, 4, 2), _stage(32, 4, 2), _stage(64, 4, 2), _stage(112, 4), _stage(184, 4, 2),
        _stage(352, 1),
    ],
    "operations": ["k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip"],
    "first_skip": True, "expand_always": True, "stem_width": 16, "stem_stride": 2, "head_conv": 1504,
}  # fmt: skip

_EFFICIENTNET: dict[str, Any] = {
    "stages": [
        _stage(16, [1, 2], kernel=[3], expansion=[1.0]),
        _stage(24, [1, 2, 3], 2), _stage(40, [1, 2, 3], 2), _stage(80, [2, 3, 4], 2), _stage(112, [2, 3, 4]),
        _stage(192, [3, 4, 5], 2), _stage(320, [1, 2]),
    ],
    "kernel": [3, 5], "expansion": [3.0, 6.0], "se": [False, True], "share": "stage", "activation": ["silu"],
    "squeeze": "input", "stem_width": 32, "stem_stride": 2, "stem_activation": "silu",
    "head_conv": 1280, "head_activation": "silu", "dropout": 0.2,
}  # fmt: skip

#: Su et al. 2021, section 5; the paper does not say what an identity does where a layer changes the shape: with a 1×1
#: convolution of stride 2 and a norm, as here, parameters and multiply-adds equal all 6,561 published rows
_MACRO: dict[str, Any] = {
    "stages": [_stage(64, 2, 2), _stage(128, 3, 2), _stage(256, 3, 2)],
    "operations": ["skip", "k3_e3", "k5_e6"], "first_skip": True, "stem_width": 32, "head_conv": 1280,
}  # fmt: skip

PRESETS = (
    Preset(
        "mobilenetv3", "MobileNetV3 (large)",
        "Kernel, expansion, squeeze-excite and depth around MobileNetV3-Large, which is one of them.",
        "Howard et al. 2019, Searching for MobileNetV3", _MOBILENETV3,
    ),
    Preset(
        "once_for_all", "Once-for-All (MobileNetV3)",
        "Elastic depth, kernel and expansion of five stages, 25 image sizes: 2 × 10¹⁹ networks a size.",
        "Cai et al. 2020, Once-for-All: Train One Network and Specialize It for Efficient Deployment", _OFA,
    ),
    Preset(
        "proxylessnas", "ProxylessNAS (mobile)",
        "21 blocks of six kernels and expansions, each but the first of a stage may be skipped.",
        "Cai, Zhu & Han 2019, ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware", _PROXYLESS,
    ),
    Preset(
        "fbnet", "FBNet", "22 layers of nine blocks each, grouped ones and skips among them.",
        "Wu et al. 2019, FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable NAS, table 1", _FBNET,
    ),
    Preset(
        "efficientnet", "EfficientNet-like",
        "One kernel, expansion and squeeze-excite a stage, as in MnasNet's space; EfficientNet-B0 is one of them.",
        "Tan & Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", _EFFICIENTNET,
    ),
    Preset(
        "nasbench_macro", "NAS-Bench-Macro",
        "Eight layers of identity, MBConv 3×3 ×3 or MBConv 5×5 ×6: 6,561 networks with published accuracies.",
        "Su et al. 2021, Prioritized Architecture Sampling with Monto-Carlo Tree Search", _MACRO,
    ),
)  # fmt: skip
