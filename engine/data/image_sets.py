"""The image sets of the registry, as published. Shapes, names, digests and statistics; no code."""

from __future__ import annotations

from typing import Any

from engine.data.images import IDX_FILES, ImageSet

_GZ = tuple(f"{name}.gz" for name in IDX_FILES)
_DIGITS = tuple(str(i) for i in range(10))
_IDX: dict[str, Any] = {
    "shape": (1, 28, 28),
    "n_train": 60_000,
    "n_test": 10_000,
    "n_validation": 10_000,
    "files": (_GZ, IDX_FILES),
}
_CIFAR: dict[str, Any] = {"shape": (3, 32, 32), "n_train": 50_000, "n_test": 10_000, "n_validation": 5_000}
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

#: every set by itself; the ones most likely to be on the machine first
IMAGES = (
    ImageSet(
        name="fashion_mnist",
        title="Fashion-MNIST",
        summary="70,000 pictures of clothes, 28×28 grey, 10 classes",
        torchvision="FashionMNIST",
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        mean=(0.286,),
        std=(0.353,),
        download_mb=31,
        md5=(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        **_IDX,
    ),
    ImageSet(
        name="mnist",
        title="MNIST",
        summary="70,000 handwritten digits, 28×28 grey, 10 classes",
        torchvision="MNIST",
        class_names=_DIGITS,
        mean=(0.1307,),
        std=(0.3081,),
        download_mb=12,
        md5=(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        mirror="https://ossci-datasets.s3.amazonaws.com/mnist/",
        **_IDX,
    ),
    ImageSet(
        name="kmnist",
        title="Kuzushiji-MNIST",
        summary="70,000 cursive Japanese characters, 28×28 grey, 10 classes",
        torchvision="KMNIST",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        mean=(0.1918,),
        std=(0.3483,),
        download_mb=21,
        md5=(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        mirror="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        **_IDX,
    ),
    ImageSet(
        name="cifar10",
        title="CIFAR-10",
        summary="60,000 colour photographs, 32×32, 10 classes",
        torchvision="CIFAR10",
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.247, 0.2435, 0.2616),
        download_mb=170,
        files=(("cifar-10-batches-py",), ("cifar-10-python.tar.gz",)),
        **_CIFAR,
    ),
    ImageSet(
        name="cifar100",
        title="CIFAR-100",
        summary="60,000 colour photographs, 32×32, 100 classes",
        torchvision="CIFAR100",
        class_names=tuple(_CIFAR100.split()),
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        download_mb=169,
        files=(("cifar-100-python",), ("cifar-100-python.tar.gz",)),
        **_CIFAR,
    ),
    ImageSet(
        name="svhn",
        title="SVHN",
        summary="99,289 house numbers from street photographs, 32×32 colour, 10 classes",
        torchvision="SVHN",
        shape=(3, 32, 32),
        class_names=_DIGITS,
        n_train=73_257,
        n_test=26_032,
        n_validation=7_000,
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.198, 0.201, 0.197),
        download_mb=246,
        files=(("train_32x32.mat", "test_32x32.mat"),),
    ),
)
