#!/bin/sh
# Everything that a GPU tells of this package, in less than five minutes: its tests, both benchmarks, training, sampling
# and restoration, in one table. Needs a GPU, torch with CUDA, CuPy, pytest, and nvcc for the test that compiles.
#
#   gpu/measure.sh [DIRECTORY]      files to look at later go there; by default into measured/
set -u
cd "$(dirname "$0")/.." || exit 2
out=${1:-measured}
python=${PYTHON:-python3}
PYTHONPATH=$PWD:$PWD/gpu${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH
$python gpu/measure.py --check || exit 2
mkdir -p "$out" || exit 2

$python -m pytest -q -m gpu -p no:cacheprovider tests >"$out/tests.txt" 2>&1
for plan in "" cells; do  # the kernels that are chosen, and those that every device has
    DECONV_CUDA_PLAN=$plan $python -m deconv bench solver --device cuda --threads 1 --seconds 0.3 --no-memory --no-rivals \
        --no-growth --json "$out/solver${plan:+-$plan}.json" >"$out/solver${plan:+-$plan}.txt" 2>&1
done
$python -m deconv bench flows --device cuda --layers inverse,finc,glow -K 16 --seconds 0.3 --no-memory --no-growth \
    --train-steps 0 --out "$out/flows.csv" >"$out/flows.txt" 2>&1
$python gpu/measure.py "$out"
