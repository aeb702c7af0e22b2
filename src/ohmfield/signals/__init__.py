"""What is shown: signals as points, labelled examples, and how a prediction is scored."""

from ohmfield.signals.cameras import Cameras
from ohmfield.signals.examples import Examples
from ohmfield.signals.image import PHOTOS, image, photo
from ohmfield.signals.labels import cifar10, mnist
from ohmfield.signals.points import Points, from_image
from ohmfield.signals.posed import posed, still_life
from ohmfield.signals.quality import psnr, ssim, top_k
from ohmfield.signals.synthetic import gratings, shapes, zone_plate
from ohmfield.signals.views import Views

__all__ = [
    "PHOTOS",
    "Cameras",
    "Examples",
    "Points",
    "Views",
    "cifar10",
    "from_image",
    "gratings",
    "image",
    "mnist",
    "photo",
    "posed",
    "psnr",
    "shapes",
    "ssim",
    "still_life",
    "top_k",
    "zone_plate",
]
