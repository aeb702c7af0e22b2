"""What is shown: signals as points, labelled examples, and how a prediction is scored."""

from ohmfield.signals.examples import Examples
from ohmfield.signals.image import PHOTOS, image, photo
from ohmfield.signals.labels import cifar10, mnist
from ohmfield.signals.mesh import Mesh, mesh
from ohmfield.signals.points import Points, from_image
from ohmfield.signals.quality import iou, psnr, ssim, top_k
from ohmfield.signals.shape import Shape, shape
from ohmfield.signals.synthetic import gratings, shapes, zone_plate

__all__ = [
    "PHOTOS",
    "Examples",
    "Mesh",
    "Points",
    "Shape",
    "cifar10",
    "from_image",
    "gratings",
    "image",
    "iou",
    "mesh",
    "mnist",
    "photo",
    "psnr",
    "shape",
    "shapes",
    "ssim",
    "top_k",
    "zone_plate",
]
