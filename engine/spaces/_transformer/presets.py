"""Ready-made encoders for the gallery."""

from __future__ import annotations

from engine.spaces._offers import Preset

PRESETS = (
    Preset(
        "textnas", "TextNAS",
        "Its eight operations in 24 layers, each may add one earlier layer (the paper: any number of them).",
        "Wang et al. 2020, TextNAS: A Neural Architecture Search Space Tailored for Text Representation",
        {
            "depth": (24,), "width": (256,), "heads": (8,), "ratio": (0,), "skips": True,
            "operation": ("conv1", "conv3", "conv5", "conv7", "max3", "avg3", "gru", "attention"),
            "position": ("learned",), "activation": ("relu",), "pool": ("mean", "max"), "dropout": (0.1, 0.3, 0.5),
        },
        "text",
    ),
    Preset(
        "bert", "Small BERT encoders",
        "BERT-Tiny to BERT-Small, with the norms in front of each part: two to four blocks of 128 to 512 channels.",
        "Turc et al. 2019, Well-Read Students Learn Better; Devlin et al. 2019, BERT",
        {
            "depth": (2, 4), "width": (128, 256, 512), "heads": (2, 4, 8), "ratio": (4,), "operation": ("attention",),
            "position": ("learned",), "activation": ("gelu",), "pool": ("first",), "dropout": (0.1,),
        },
        "text",
    ),
    Preset(
        "vit-tiny", "ViT-Tiny",
        "Twelve attention blocks of 192 channels and 3 heads over patches, read from a class token.",
        "Dosovitskiy et al. 2021, An Image Is Worth 16x16 Words; Touvron et al. 2021, DeiT (the tiny size)",
        {
            "depth": (12,), "width": (192,), "heads": (3,), "ratio": (4,), "operation": ("attention",),
            "patch": (2, 4, 16), "position": ("learned",), "activation": ("gelu",), "pool": ("first",),
            "dropout": (0.0, 0.1),
        },
        "image",
    ),
    Preset(
        "hat", "Elastic encoder (HAT)",
        "Attention only; heads and feed-forward part of each block chosen by themselves, up to six blocks.",
        "Wang et al. 2020, HAT: Hardware-Aware Transformers for Efficient Natural Language Processing",
        {
            "depth": (1, 2, 3, 4, 5, 6), "width": (512, 640), "heads": (4, 8), "ratio": (1, 2, 3, 4),
            "operation": ("attention",), "position": ("sinusoidal",), "activation": ("relu",), "pool": ("mean",),
            "dropout": (0.1, 0.3),
        },
        "text",
    ),
    Preset(
        "convolutional", "Convolutions over text",
        "Windows of 3, 5 and 7 words and the maximum over time, in residual blocks instead of side by side.",
        "Kim 2014, Convolutional Neural Networks for Sentence Classification (maximum over time)",
        {
            "depth": (1, 2, 3, 4), "width": (64, 128, 256), "ratio": (0, 2), "position": ("none",), "pool": ("max",),
            "operation": ("conv3", "conv5", "conv7", "sep3", "sep5", "sep7"), "activation": ("relu", "gelu"),
            "dropout": (0.1, 0.3, 0.5),
        },
        "text",
    ),
)  # fmt: skip
