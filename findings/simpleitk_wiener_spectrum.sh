#!/usr/bin/env bash
# SimpleITK 2.5.7: WienerDeconvolution compares its variance of the noise with the squares of a transform that is not
# normalised, so that the true variance leaves the noise in, and one number means another thing at each image size. Given
# as that transform has it, times the number of pixels, the signal's share, 1 - noise / power, is not cut at zero:
# frequencies weaker than the noise change their signs, and white noise comes out stronger than it went in.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 simpleitk==2.5.7 <<'PY'
import numpy as np
import SimpleITK
from scipy import ndimage


def wiener(image, psf, noise_variance):
    """Image and blur are periodic."""
    boundary = SimpleITK.WienerDeconvolutionImageFilter.PERIODIC_PAD
    image, psf = map(SimpleITK.GetImageFromArray, (image, psf))
    return SimpleITK.GetArrayFromImage(
        SimpleITK.WienerDeconvolution(image, psf, noiseVariance=noise_variance, boundaryCondition=boundary)
    )


def rms(image):
    return np.sqrt(np.mean(image**2))


rng = np.random.default_rng(0)
size, sigma = 128, 0.05
scene = ndimage.gaussian_filter(rng.standard_normal((size, size)), 2, mode="wrap")
scene /= scene.std()
t = np.arange(-4, 5)
psf = np.exp(-(t[:, None] ** 2 + t**2) / (2 * 1.5**2))
psf /= psf.sum()
image = ndimage.convolve(scene, psf, mode="wrap") + sigma * rng.standard_normal(scene.shape)
print(f"scene of rms 1, noise of {sigma}; error of the blurred image {rms(image - scene):.2f}")
assert rms(image - scene) < 0.35

errors = {}
for repeats in (1, 4):  # the same periodic scene
    for factor in (1, size**2):
        restored = wiener(np.tile(image, (repeats, repeats)), psf, factor * sigma**2)[:size, :size]
        errors[repeats, factor] = rms(restored - scene)
        print(f"{repeats} x {repeats} periods, variance x {factor}: error {errors[repeats, factor]:.2f}")
assert errors[1, 1] > 1 and errors[4, 1] > 1
assert errors[1, size**2] < 0.15 and errors[4, size**2] > 2 * errors[1, size**2]

identity = np.zeros((3, 3))
identity[1, 1] = 1
noise = rng.standard_normal((size, size))
power = np.abs(np.fft.fft2(noise)) ** 2
share = np.maximum(1 - noise.size / power, 0)
cut = np.fft.ifft2(np.fft.fft2(noise) * share).real
given = wiener(noise, identity, float(noise.size))
print(f"noise alone, no blur, variance x {noise.size}: rms {rms(noise):.2f} -> {rms(given):.2f}; cut at zero {rms(cut):.2f}")
assert rms(given) > 2 * rms(noise) and rms(cut) < 0.5 * rms(noise)

tikhonov = SimpleITK.TikhonovDeconvolution(
    *map(SimpleITK.GetImageFromArray, (image, psf)),
    regularizationConstant=0.01,
    boundaryCondition=SimpleITK.TikhonovDeconvolutionImageFilter.PERIODIC_PAD,
)
transfer = np.fft.fft2(np.roll(np.pad(psf, (0, size - 9)), (-4, -4), (0, 1)))
closed_form = np.fft.ifft2(np.fft.fft2(image) * transfer.conj() / (np.abs(transfer) ** 2 + 0.01)).real
inside = slice(16, -16), slice(16, -16)
assert np.allclose(SimpleITK.GetArrayFromImage(tikhonov)[inside], closed_form[inside], atol=1e-3)
print(f"SimpleITK {SimpleITK.Version.VersionString()}; Tikhonov is its closed form to 1e-3, away from the border")
PY
