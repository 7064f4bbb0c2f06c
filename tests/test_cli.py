"""The command: what it writes, what it says, and one line with exit status 2 for whatever will not do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image
from typer.main import get_command

import deconv
from deconv.cli import main, methods
from deconv.cli.app import app
from deconv.imaging import degrade, psf, psnr, read_image, read_stack, write_image, write_stack

PSF = "motion:7,30"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every test works in its own empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sharp():
    image = skimage.data.astronaut()[40:168, 150:300]
    write_image("sharp.png", image)
    return image


@pytest.fixture
def blurred(sharp):
    image = degrade(sharp, psf.parse(PSF), noise=0.01, seed=0)
    write_image("blurred.png", image)
    return image


def tries(capsys, *arguments: str) -> tuple[int, str, str]:
    """The exit status, and what was said on standard output and standard error."""
    status = main(list(arguments))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_blur_is_degrade(sharp, capsys):
    status, out, err = tries(capsys, "blur", "sharp.png", "-o", "out.png", "--psf", PSF, "--noise", "2%", "--seed", "3")
    assert (status, err) == (0, "")
    np.testing.assert_array_equal(read_image("out.png"), degrade(sharp, psf.parse(PSF), noise=0.02, seed=3))
    assert "sharp.png -> out.png: 150 x 128 -> 144 x 124 colour, 8 bits" in out
    assert "psf motion:7,30 (5 x 7); noise 2.00%; valid;" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_brings_the_picture_nearer(capsys, method):
    sharp = skimage.data.astronaut()[60:124, 180:255]
    blurred = degrade(sharp, psf.parse(PSF), noise=0.01, seed=0)
    write_image("blurred.png", blurred)
    status, out, err = tries(capsys, "deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--method", method)
    assert (status, err) == (0, "")
    truth = sharp[2:-2, 3:-3]
    assert psnr(read_image("out.png"), truth) > psnr(blurred, truth) + 1
    assert f"; {method}; " in out
    assert "noise 1." in out
    assert out.count("\n") == 1


def test_the_methods_are_functions_of_restore_and_the_default_is_one(sharp):
    for method in methods.METHODS.values():
        assert callable(method.load())
    assert methods.DEFAULT in methods.METHODS
    assert methods.choose("Hyper-Laplacian").name == "hyper_laplacian"


@pytest.mark.parametrize(
    ("shape", "seconds", "expected"),
    [
        ((1, 1, 512, 512), 60, "flow"),
        ((1, 3, 512, 512), 20, "hyper_laplacian"),
        ((1, 3, 4000, 3000), 20, "wiener"),
        ((1, 1, 4000, 3000), 0.01, "wiener"),
        ((1, 1, 8, 128, 128), 60, "hyper_laplacian"),
    ],
)
def test_auto_takes_the_best_within_the_time(shape, seconds, expected):
    assert methods.best(torch.empty(shape), seconds).name == expected


def test_auto_says_what_it_took(sharp, blurred, capsys):
    status, out, _ = tries(
        capsys, "deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--method", "auto", "--budget", "0.5"
    )
    assert status == 0
    assert "; hyper_laplacian; " in out


def test_the_options_arrive_at_the_method(blurred, capsys, monkeypatch):
    seen = {}

    def method(image, psf, *, sigma, boundary, num_iter, linear, white, progress):
        seen.update(image=image, psf=psf, sigma=sigma, boundary=boundary, num_iter=num_iter)
        seen.update(linear=linear, white=white, progress=progress)
        return image

    monkeypatch.setattr(methods.Method, "load", lambda self: method)
    status, out, _ = tries(
        capsys,
        *("deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--sigma", "0.5%", "--boundary", "reflect"),
        *("--iterations", "9", "--linear", "--clipped", "-q"),
    )
    assert status == 0
    assert out == ""
    assert seen.pop("image").shape == (1, 3, 124, 144)
    torch.testing.assert_close(seen.pop("psf"), psf.parse(PSF))
    assert seen.pop("white") == 1.0
    assert 0.0005 < seen.pop("sigma") < 0.011  # 0.5 % of the file's values, in light
    assert seen == {
        "boundary": "reflect",
        "num_iter": 9,
        "linear": True,
        "progress": False,
    }


@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("quality", [95, 90, 80])
def test_the_traces_of_jpeg_are_not_taken_for_the_scene(capsys, sigma, quality):
    """With the estimated noise the result is nearly as good as with the true error of the compressed picture."""
    sharp, h = skimage.data.camera()[64:320, 128:384].astype(np.float32) / 255, psf.camera_shake(15, seed=3)
    seen = (degrade(sharp, h, noise=sigma, seed=0).clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(seen).save("seen.jpg", quality=quality)
    error = float(np.sqrt(np.square(read_image("seen.jpg") / 255 - degrade(sharp, h)).mean()))
    arguments = (
        "deblur",
        "seen.jpg",
        "--psf",
        "shake:15,seed=3",
        "-m",
        "hyper_laplacian",
        "-q",
        "--bits",
        "8",
    )
    assert tries(capsys, *arguments, "-o", "guessed.png")[0] == 0
    assert tries(capsys, *arguments, "-o", "told.png", "--sigma", str(error))[0] == 0
    truth = sharp[7:-7, 7:-7]
    guessed, told = (psnr(read_image(name) / 255, truth) for name in ("guessed.png", "told.png"))
    assert guessed > told - 0.5


def test_noise_of_light_is_estimated_in_light(blurred, capsys):
    plain, light = (
        tries(capsys, "deblur", "blurred.png", "-o", "out.png", "--psf", PSF, *more)[1]
        for more in ((), ("--linear", "--overwrite"))
    )
    assert plain.split("noise ")[1] != light.split("noise ")[1]


def test_depth_opacity_and_grey_are_kept(capsys):
    grey = np.dstack([skimage.data.camera()[:90, :100], np.full((90, 100), 77, np.uint8)])
    Image.fromarray(grey).save("grey.png")
    write_image("deep.png", (skimage.data.astronaut()[:90, :100] * 257.0).astype(np.uint16))
    tifffile.imwrite("float.tif", skimage.data.camera()[:90, :100].astype(np.float32) * 3)
    for name in ("grey.png", "deep.png", "float.tif"):
        assert tries(capsys, "deblur", name, "-o", f"out-{name}", "--psf", "gaussian:1", "-q")[0] == 0
    with Image.open("out-grey.png") as image:
        assert image.mode == "LA"
        assert (np.asarray(image)[..., 1] == 77).all()
    assert read_image("out-deep.png").dtype == np.uint16
    restored = read_image("out-float.tif")
    assert restored.dtype == np.float32
    assert restored.max() > 300
    assert tries(capsys, "deblur", "deep.png", "-o", "out.jpg", "--psf", "gaussian:1", "--bits", "8")[0] == 0
    assert read_image("out.jpg").dtype == np.uint8


def test_a_psf_from_a_file_is_reported(blurred, capsys):
    h = psf.parse(PSF).numpy()
    np.save("k.npy", 5 * np.pad(h, ((0, 6), (0, 4))))
    arguments = ("blur", "blurred.png", "-o", "out.png", "--psf", "k.npy")
    _, out, _ = tries(capsys, *arguments)
    assert "psf k.npy (11 x 11, divided by its sum 5, centroid (-3.0, -2.0) pixels off the centre" in out
    _, out, _ = tries(capsys, *arguments, "--recentre", "--overwrite")
    assert "psf k.npy (5 x 7, divided by its sum 5, centroid moved from (-3.0, -2.0) to the centre" in out
    np.testing.assert_array_equal(read_image("out.png"), degrade(blurred, h))


def test_volumes_are_blurred_and_deblurred(capsys):
    row, column, depth = np.mgrid[:40, :50, :20] / 6
    volume = (0.5 + 0.4 * np.sin(row) * np.cos(column) * np.sin(depth)).transpose(2, 0, 1)
    write_stack("sharp.tif", (volume * 65535).astype(np.uint16))
    h = np.ones((3, 5, 5)) / 75
    np.save("k.npy", h)
    options = ("--psf", "k.npy", "--noise", "1%", "--seed", "0")
    status, out, _ = tries(capsys, "blur", "sharp.tif", "-o", "blurred.tif", *options)
    assert status == 0
    assert "20 x 40 x 50 -> 18 x 36 x 46 volume, 16 bits" in out
    status, out, err = tries(capsys, "deblur", "blurred.tif", "-o", "out.tif", "--psf", "k.npy")
    assert (status, err) == (0, "")
    assert "noise 1." in out
    assert (read_stack("blurred.tif").dtype, read_stack("out.tif").dtype) == (np.uint16, np.float32)
    errors = [
        np.square(read_stack(name) / 65535 - volume[1:-1, 2:-2, 2:-2]).mean() for name in ("out.tif", "blurred.tif")
    ]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("deblur missing.png -o out.png --psf disk:3", "missing.png: No such file or directory"),
        ("deblur . -o out.png --psf disk:3", "out.png is the name of one picture, and there are several"),
        ("deblur text.png -o out.png --psf disk:3", "text.png: it is not an image"),
        ("deblur nan.tif -o out.tif --psf disk:3", "nan.tif: image: 1 of its 400 values are NaN or infinite"),
        ("deblur sharp.png -o out.png --psf disk:80", "psf: 161 x 161 is larger than the image, 128 x 150"),
        ("deblur sharp.png -o out.png --psf box:1x151", "psf: 1 x 151 is larger than the image"),
        (
            "deblur sharp.png -o out.png --psf blob:3",
            "psf: unknown 'blob:3', allowed are gaussian:sigma[,size];",
        ),
        ("deblur sharp.png -o out.png --psf disk", "psf: 'disk' does not read as disk:radius[,size]"),
        ("deblur sharp.png -o out.png --psf k.npy", "k.npy: No such file or directory"),
        ("deblur sharp.png -o out.png --psf text.png", "text.png: it is not an image"),
        (
            "deblur sharp.png -o out.tif --psf volume.npy",
            "sharp.png: a PNG file holds no volume",
        ),
        ("deblur volume.npy -o out.png --psf disk:1", "volume.npy: its shape is"),
        (
            "deblur volume.npy -o out.png --psf volume.npy -q",
            "out.png: kind of file '.png', allowed here are .tif, .tiff, .npy",
        ),
        (
            "deblur sharp.png -o out.doc --psf disk:3",
            "out.doc: kind of file '.doc', allowed here are .png",
        ),
        ("deblur sharp.png -o no/out.png --psf disk:3", "no does not exist"),
        (
            "deblur sharp.png -o out.png --psf disk:3 --method magic",
            "--method: unknown 'magic', allowed are auto, wiener",
        ),
        ("deblur sharp.png -o out.png --psf disk:3 --budget 5", "--budget: is for --method auto"),
        ("deblur sharp.png -o out.png --psf disk:3 -m auto --budget 0", "--budget: expected a positive number"),
        ("deblur sharp.png -o out.png --psf disk:3 --sigma lots", "--sigma: 'lots' is not a number"),
        (
            "deblur sharp.png -o out.png --psf disk:3 --sigma -1%",
            "--sigma: expected a finite number of at least 0",
        ),
        ("deblur sharp.png -o out.png --psf disk:3 --boundary odd", "boundary: unknown 'odd'"),
        ("deblur sharp.png nan.tif -o there --kernel-size big", "--kernel-size: expected a number of pixels, or two"),
        ("estimate-kernel sharp.png nan.tif -o there --model magic", "--model: unknown 'magic', allowed are auto"),
        ("blur sharp.png nan.tif -o there --psf disk", "psf: 'disk' does not read as disk:radius[,size]"),
        ("deblur sharp.png -o out.png --psf disk:3 --bits 7", "bits: a .png file holds 8, 16"),
        (
            "deblur sharp.png -o out.png --psf disk:3 --device abacus",
            "--device: 'abacus' cannot be used here",
        ),
        ("deblur sharp.png --psf disk:3", "Missing option '--output' / '-o'"),
        ("deblur -o out.png --psf disk:3", "Missing argument 'IN...'"),
        ("deblur sharp.png -o out.png --psf disk:3 --iterations few", "'--iterations'"),
        ("deblur sharp.png -o out.png --psf disk:3 --frobnicate", "--frobnicate"),
        (
            "blur sharp.png -o out.png --psf disk:3 --noise -1",
            "--noise: expected a finite number of at least 0",
        ),
        ("blur sharp.png -o out.png --psf disk:3 --boundary odd", "boundary: unknown 'odd'"),
        ("frobnicate", "No such command 'frobnicate'"),
    ],
)
def test_what_will_not_do_is_one_line_and_status_2(here, sharp, capsys, arguments, words):
    (here / "text.png").write_text("not an image")
    np.save("volume.npy", np.ones((3, 5, 5)))
    values = np.ones((20, 20), np.float32)
    values[3, 4] = np.nan
    tifffile.imwrite("nan.tif", values)
    before = {path: path.read_bytes() for path in here.iterdir()}
    status, out, err = tries(capsys, *arguments.split())
    assert status == 2
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert err.startswith("deconv")
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_a_folder_without_permission(sharp, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not os.path.isdir(path))
    status, _, err = tries(capsys, "deblur", "sharp.png", "-o", "out.png", "--psf", "disk:2")
    assert status == 2
    assert "may not be written to" in err


def test_an_option_that_the_method_does_not_take_is_named(sharp, capsys):
    status, _, err = tries(
        capsys,
        *("deblur", "sharp.png", "-o", "out.png", "--psf", "disk:2", "-m", "hyper_laplacian"),
        *("--noise-to-signal", "0.1"),
    )
    assert status == 2
    assert "--noise-to-signal: hyper_laplacian does not take it; it takes --sigma" in err


def test_a_failure_leaves_an_existing_output_as_it_was(here, blurred, capsys, monkeypatch):
    (here / "out.png").write_bytes(b"before")

    def fails(image, psf, **options):
        raise FloatingPointError("the result is not finite")

    monkeypatch.setattr(methods.Method, "load", lambda self: fails)
    status, _, err = tries(capsys, "deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--overwrite")
    assert (status, err) == (2, "deconv: the result is not finite\n")
    assert (here / "out.png").read_bytes() == b"before"
    monkeypatch.setenv("DECONV_TRACEBACK", "1")
    with pytest.raises(FloatingPointError):
        main(["deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--overwrite"])


def test_the_picture_never_replaces_itself(blurred, capsys):
    arguments = ("deblur", "blurred.png", "-o", "blurred.png", "--psf", PSF)
    for more in ((), ("--overwrite",)):
        status, _, err = tries(capsys, *arguments, *more)
        assert (status, err) == (2, "deconv: --output: blurred.png is read; give another name\n")
    assert np.array_equal(read_image("blurred.png"), blurred)


def test_an_interrupt_is_status_130_without_a_traceback(blurred, capsys, monkeypatch):
    def interrupted(image, psf, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(methods.Method, "load", lambda self: interrupted)
    status, _, err = tries(capsys, "deblur", "blurred.png", "-o", "out.png", "--psf", PSF)
    assert (status, err) == (130, "deconv: interrupted\n")


def test_every_help_fits_into_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    commands = [get_command(app)]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        if command.params and not hasattr(command, "commands"):
            command.main(["--help"], prog_name="deconv", standalone_mode=False)
            out = capsys.readouterr().out
            assert "…" not in out, command.name
            examples = re.findall(r"^   (?:deconv .*|  --.*)", out, flags=re.MULTILINE)
            given = re.findall(r"^  (?:deconv .*|  --.*)", command.help or "", flags=re.MULTILINE)
            assert [line.strip() for line in examples] == [line.strip() for line in given]


@pytest.mark.parametrize("command", ["", "deblur", "blur", "demo", "info", "bench", "bench solver"])
def test_every_help_has_an_example(capsys, command):
    status, out, _ = tries(capsys, *command.split(), "--help")
    assert status == 0
    assert "Example" in out
    assert f"deconv {command}" in out


def test_no_arguments_is_help(capsys):
    for arguments in ((), ("bench",)):
        status, out, err = tries(capsys, *arguments)
        assert (status, err) == (0, "")
        assert "Commands" in out


def test_info_lists_the_solvers_with_reasons(capsys):
    status, out, _ = tries(capsys, "info")
    assert status == 0
    for word in ("torch", torch.__version__, "threads", "compiled", "blocked", "reference", "pure torch"):
        assert word in out


def test_bench_solver_hands_its_options_on(capsys, monkeypatch):
    seen = {}

    def bench(**options):
        seen.update(options)
        return types.SimpleNamespace(correct=seen["rows"] != [2])

    monkeypatch.setitem(sys.modules, "deconv.bench.solver", types.SimpleNamespace(main=bench))
    arguments = ("bench", "solver", "--rows", "1,8", "--threads", "1", "--json", "a.json", "--no-growth")
    assert tries(capsys, *arguments)[0] == 0
    assert seen["rows"] == [1, 8]
    assert seen["threads"] == [1]
    assert str(seen["json"]) == "a.json"
    assert (seen["growth"], seen["memory"], seen["solver"]) == (False, True, None)
    assert tries(capsys, "bench", "solver", "--rows", "2")[0] == 1
    for text in ("many", "0", ""):
        status, _, err = tries(capsys, "bench", "solver", "--rows", text)
        assert status == 2
        assert err.startswith("deconv: --rows: expected whole numbers from 1")


def test_demo_is_given_its_folder(capsys, monkeypatch):
    seen = []
    module = types.ModuleType("deconv.cli.demo")
    module.run = lambda output: seen.append(str(output))
    monkeypatch.setitem(sys.modules, "deconv.cli.demo", module)
    assert tries(capsys, "demo", "-o", "there")[0] == 0
    assert seen == ["there"]


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_the_module_is_the_command():
    done = python("-m", "deconv", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("deconv ")
    assert python("-m", "deconv", "frobnicate").returncode == 2


def test_help_loads_nothing_heavy():
    """The command's own modules do not: the package around them is a bare one here."""
    code = (
        "import sys, types\n"
        f"package = types.ModuleType('deconv'); package.__path__ = {list(deconv.__path__)}\n"
        "sys.modules['deconv'] = package\n"
        "from deconv.cli import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'numba', 'scipy', 'skimage', 'cv2', 'PIL', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
