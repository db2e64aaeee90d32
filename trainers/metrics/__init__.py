"""Metrics: pure functions of a restored and a sharp image, with the data's range always given.

`catalogue` lists all of them; each is in a module of its name.
"""

from trainers.metrics.psnr_ssim import psnr as psnr
from trainers.metrics.psnr_ssim import ssim as ssim
