"""Well-known networks and spaces as instances of `layers`."""

from __future__ import annotations

from engine.spaces.base import Preset

PRESETS = (
    Preset(
        "sequence",
        "Plain sequence",
        "One to four convolutions with pooling, flattened, dense layers: the textbook's network, read as written.",
        "LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition",
        {
            "depth": (1, 2, 3, 4), "width": (8, 16, 32, 64), "operation": ("conv3", "conv5", "conv1"), "skip": (False,),
            "stem_kernel": 0, "pool_after": (1, 2, 3, 4), "pool_where": (True, False), "pool_last": True,
            "widen": (1, 2), "norm": ("none", "batch"), "activation": ("relu", "tanh"),
            "head_pool": ("flatten", "avg"), "dense": (0, 32, 64, 128), "dense_layers": 2,
            "dropout": (0.0, 0.2, 0.5),
        },
    ),
    Preset(
        "lenet",
        "LeNet-5",
        "Two convolutions 5×5 with pooling and dense layers of 120 and 84 units; here with choices around them.",
        "LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition",
        {
            "depth": (2,), "operation": ("conv5", "conv3"), "skip": (False,), "stem_kernel": 0,
            "block_width": (6, 16, 32), "pool_after": (1, 2), "pool_last": True, "pool": ("avg", "max"),
            "norm": ("none",), "activation": ("tanh", "relu"), "head_pool": ("flatten",), "dense": (0, 84, 120),
            "dense_layers": 2, "dropout": (0.0,),
        },
    ),
    Preset(
        "vgg",
        "VGG",
        "Plain convolutions 3×3, twice as wide behind each pooling, then dense layers.",
        "Simonyan & Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition",
        {
            "depth": (4, 6, 8, 10), "width": (16, 32, 64), "operation": ("conv3", "conv1"), "skip": (False,),
            "stem_kernel": 0, "pool_after": (2, 4, 6, 8), "pool": ("max",), "widen": (2,), "norm": ("batch", "none"),
            "activation": ("relu",), "head_pool": ("flatten", "avg"), "dense": (0, 256, 512), "dense_layers": 2,
            "dropout": (0.0, 0.5),
        },
    ),
    Preset(
        "resnet",
        "ResNet",
        "Residual blocks of one convolution each; some halve the image by their stride, and dropout may end a block.",
        "He et al. 2016, Deep Residual Learning for Image Recognition",
        {
            "depth": (4, 6, 8, 10), "width": (16, 32, 64), "operation": ("conv3", "sep3"), "skip": (True,),
            "stride": (1, 2), "block_factor": (1.0, 2.0), "block_dropout": (0.0, 0.1), "pool_after": (),
            "norm": ("batch",), "activation": ("relu", "silu"), "dense": (0,), "dropout": (0.0, 0.2),
        },
    ),
    Preset(
        "enas_macro",
        "ENAS macro",
        "Twelve layers, six operations each, any earlier layer joined into any later one: 6^12 × 2^66 networks.",
        "Pham et al. 2018, Efficient Neural Architecture Search via Parameter Sharing, section 2.3",
        {
            "depth": (12,), "width": (36,), "operation": ("conv3", "conv5", "sep3", "sep5", "max3", "avg3"),
            "connections": "any", "pool_after": (4, 8), "pool": ("avg",), "widen": (1,), "norm": ("batch",),
            "activation": ("relu",), "dense": (0,), "dropout": (0.1,),
        },
    ),
    Preset(
        "m5",
        "M5 (signals)",
        "A wide first window with a large stride over the raw signal, then short ones, pooled by four.",
        "Dai et al. 2017, Very Deep Convolutional Neural Networks for Raw Waveforms",
        {
            "depth": (3, 4, 6), "width": (32, 64, 128), "operation": ("conv3", "sep3"), "stem_kernel": 80,
            "stem_stride": 4, "pool_after": (0, 1, 2, 3), "pool_last": True, "pool_size": 4, "pool": ("max",),
            "widen": (1, 2), "norm": ("batch",), "activation": ("relu",), "dense": (0,), "dropout": (0.0, 0.2),
        },
        "signal",
    ),
)  # fmt: skip
