#!/usr/bin/env bash
# What a machine with a GPU, torch and Triton alone can verify, in under 9 minutes: the GPU tests of
# the kernels, their benchmark, and Vim-Ti beside DeiT-Ti at 1248x1248. Leaves one folder: $OUT if
# set, else results/. Usage: tools/gpu_check.sh [--smoke]
# --smoke runs the same steps on a CPU at small sizes, in about a minute: it shows that they work.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out="${OUT:-results}"
python="${PYTHON:-python3}"
export PYTHONPATH="$PWD/kernels:$PWD${PYTHONPATH:+:$PYTHONPATH}"
export MAMBA_KERNELS_BUILD=0 PYTHONUNBUFFERED=1
unset TRITON_INTERPRET
tests=(tests/kernels/test_gpu_backends.py tests/kernels/test_triton_chunks.py
    tests/kernels/test_hard_cases.py tests/kernels/test_backends.py -k "triton or gpu")
benchmark=(--device cuda --rounds 3 --cases core_56_n16 core_56_n1 core_28_n1 core_odd)
comparison=(--device cuda)
case "${1-}" in
--smoke)
    export TRITON_INTERPRET=1 CUDA_VISIBLE_DEVICES=
    tests=(tests/kernels/test_hard_cases.py -k "one_step and triton")
    benchmark=(--device cpu --backends chunked --rounds 1 --cases scan_b)
    comparison=(--device cpu --size 64 --batches 1 --rounds 1)
    ;;
'') ;;
*)
    printf 'gpu_check: %s is unknown; the only option is --smoke\n' "$1" >&2
    exit 2
    ;;
esac
mkdir -p "$out" || exit 2

say() { printf '\n== %s\n' "$*"; }
stop() { printf 'gpu_check: %s\n' "$*" | tee "$out/error.txt" >&2; exit 2; }

say "1 of 4: the machine (seconds)"
"$python" -c 'import torch, triton' 2>"$out/error.txt" ||
    stop "$python cannot import torch and triton: $(tail -n 1 "$out/error.txt"); set PYTHON"
"$python" - <<'PY' | tee "$out/machine.txt" || stop "no CUDA device is available to torch"
import os
import platform
import sys

import torch
import triton

import mamba_kernels

print('python', platform.python_version(), 'torch', torch.__version__, 'triton', triton.__version__)
print('scan backends:', *mamba_kernels.available_backends())
if not torch.cuda.is_available():
    print('no CUDA device')
    sys.exit(os.environ.get('TRITON_INTERPRET') != '1')
properties = torch.cuda.get_device_properties(0)
print(properties.name, f'{properties.total_memory / 2**30:.0f} GiB', f'sm_{properties.major}{properties.minor}')
PY
rm -f "$out/error.txt"

say "2 of 4: tests of the kernels (about 4 minutes, most of it compiling)"
if "$python" -c 'import pytest' 2>/dev/null; then
    timeout "${TEST_SECONDS:-300}" "$python" -m pytest "${tests[@]}" -q -rs --durations=10 \
        -o addopts=--import-mode=importlib -p no:cacheprovider 2>&1 | tee "$out/tests.txt"
    tested=${PIPESTATUS[0]}
else
    echo "pytest is not installed for $python: the tests were not run (pip install pytest)" |
        tee "$out/tests.txt" >&2
    tested=2
fi

say "3 of 4: benchmark, checked before it is timed (about 2 minutes)"
timeout "${BENCHMARK_SECONDS:-140}" "$python" kernels/benchmarks/run.py "${benchmark[@]}" \
    --out "$out/results.csv" 2>&1 | tee "$out/benchmark.txt"
timed=${PIPESTATUS[0]}

say "4 of 4: Vim-Ti beside DeiT-Ti at 1248x1248 (about 1 minute)"
if "$python" -c 'import numpy' 2>/dev/null; then
    timeout "${COMPARISON_SECONDS:-80}" "$python" tools/benchmark_tokens.py "${comparison[@]}" \
        --out "$out/tokens.csv" 2>&1 | tee "$out/comparison.txt"
    compared=${PIPESTATUS[0]}
else
    echo "numpy is not installed for $python: the networks were not compared (pip install numpy)" |
        tee "$out/comparison.txt" >&2
    compared=2
fi

say "exit of tests: $tested, benchmark: $timed, comparison: $compared; everything is in $out"
[ "$tested" -eq 0 ] && [ "$timed" -eq 0 ] && [ "$compared" -eq 0 ]
