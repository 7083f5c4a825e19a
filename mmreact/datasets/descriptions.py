"""What known data sets show, for files that are used elsewhere."""
from dataclasses import dataclass
from typing import Optional, Tuple


@dataclass(frozen=True)
class Description:
    """The images of a data set.

    Args:
        text (str): What they show; goes into packed files.
        size (tuple[int], optional): Height and width, if all have the same.
        objects (bool): Whether they show single objects on black, which fill
            the image. Defaults to False.
    """
    text: str
    size: Optional[Tuple[int, int]] = None
    objects: bool = False


#: Type of a data set in MMPretrain -> its images.
DESCRIPTIONS = dict(
    FashionMNIST=Description(
        'Fashion-MNIST: grey images of 28x28 pixels, one piece of clothing '
        'each, light on black', (28, 28), True),
    MNIST=Description(
        'MNIST: grey images of 28x28 pixels, one handwritten digit each, '
        'white on black', (28, 28), True),
    CIFAR10=Description(
        'CIFAR-10: colour photographs of 32x32 pixels, of ten kinds of '
        'animals and vehicles', (32, 32)),
    CIFAR100=Description(
        'CIFAR-100: colour photographs of 32x32 pixels, of a hundred kinds of '
        'things', (32, 32)),
    ImageNet=Description(
        'ImageNet: colour photographs of a thousand kinds of things'),
    ImageNet21k=Description('ImageNet-21k: colour photographs'))


def describe_images(dataset: str) -> Description:
    """What is known of a data set's images; an empty text if nothing is."""
    return DESCRIPTIONS.get(dataset, Description(''))
