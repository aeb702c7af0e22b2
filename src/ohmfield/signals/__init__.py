"""What is shown: signals as points, labelled examples, and how a prediction is scored."""

from ohmfield.signals.cameras import Cameras
from ohmfield.signals.examples import Examples
from ohmfield.signals.image import PHOTOS, image, photo
from ohmfield.signals.labels import cifar10, mnist
from ohmfield.signals.mesh import Mesh, mesh
from ohmfield.signals.points import Points, from_image
from ohmfield.signals.posed import posed, still_life
from ohmfield.signals.quality import iou, psnr, ssim, top_k
from ohmfield.signals.shape import Shape, shape
from ohmfield.signals.synthetic import gratings, shapes, zone_plate
from ohmfield.signals.tomography import Rays, Sinogram, cone, measured, parallel, scan
from ohmfield.signals.views import Views
from ohmfield.signals.volume import slice_of, volume

__all__ = [
    "PHOTOS",
    "Cameras",
    "Examples",
    "Mesh",
    "Points",
    "Rays",
    "Shape",
    "Sinogram",
    "Views",
    "cifar10",
    "cone",
    "from_image",
    "gratings",
    "image",
    "iou",
    "measured",
    "mesh",
    "mnist",
    "parallel",
    "photo",
    "posed",
    "psnr",
    "scan",
    "shape",
    "shapes",
    "slice_of",
    "ssim",
    "still_life",
    "top_k",
    "volume",
    "zone_plate",
]
