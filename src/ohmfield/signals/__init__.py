"""What is shown: signals as points, labelled examples, and how a prediction is scored."""

from ohmfield.signals.examples import Examples
from ohmfield.signals.image import PHOTOS, image, photo
from ohmfield.signals.labels import cifar10, mnist
from ohmfield.signals.points import Points, from_image
from ohmfield.signals.quality import psnr, ssim, top_k
from ohmfield.signals.synthetic import gratings, shapes, zone_plate

__all__ = [
    "PHOTOS",
    "Examples",
    "Points",
    "cifar10",
    "from_image",
    "gratings",
    "image",
    "mnist",
    "photo",
    "psnr",
    "shapes",
    "ssim",
    "top_k",
    "zone_plate",
]
