"""What is shown: signals as points, and how a prediction is scored."""

from ohmfield.signals.image import PHOTOS, image, photo
from ohmfield.signals.points import Points, from_image
from ohmfield.signals.quality import psnr, ssim
from ohmfield.signals.synthetic import shapes, zone_plate

__all__ = ["PHOTOS", "Points", "from_image", "image", "photo", "psnr", "shapes", "ssim", "zone_plate"]
