#!/usr/bin/env bash
# What a machine with a GPU, torch and Triton alone can verify: the GPU tests of the kernels and
# their benchmark. Leaves one folder: $OUT if set, else results/. Usage: tools/gpu_check.sh
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out="${OUT:-results}"
python="${PYTHON:-python3}"
export PYTHONPATH="$PWD/kernels${PYTHONPATH:+:$PYTHONPATH}"
export MAMBA_KERNELS_BUILD=0 PYTHONUNBUFFERED=1
unset TRITON_INTERPRET
mkdir -p "$out" || exit 2

say() { printf '\n== %s\n' "$*"; }
stop() { printf 'gpu_check: %s\n' "$*" | tee "$out/error.txt" >&2; exit 2; }

say "1 of 3: the machine (seconds)"
"$python" -c 'import torch, triton' 2>"$out/error.txt" ||
    stop "$python cannot import torch and triton: $(tail -n 1 "$out/error.txt"); set PYTHON"
"$python" - <<'PY' | tee "$out/machine.txt" || stop "no CUDA device is available to torch"
import platform
import sys

import torch
import triton

if not torch.cuda.is_available():
    sys.exit(1)
print('python', platform.python_version(), 'torch', torch.__version__, 'triton', triton.__version__)
properties = torch.cuda.get_device_properties(0)
print(properties.name, f'{properties.total_memory / 2**30:.0f} GiB', f'sm_{properties.major}{properties.minor}')
PY
rm -f "$out/error.txt"

say "2 of 3: tests of the kernels on the GPU (about 4 minutes, most of it compiling)"
if "$python" -c 'import pytest' 2>/dev/null; then
    timeout "${TEST_SECONDS:-330}" "$python" -m pytest tests/kernels/test_gpu_backends.py \
        tests/kernels/test_triton_chunks.py tests/kernels/test_hard_cases.py \
        tests/kernels/test_backends.py -k "triton or gpu" -q -rs --durations=10 \
        -o addopts=--import-mode=importlib -p no:cacheprovider 2>&1 | tee "$out/tests.txt"
    tests=${PIPESTATUS[0]}
else
    echo "pytest is not installed for $python: the tests were not run (pip install pytest)" |
        tee "$out/tests.txt" >&2
    tests=2
fi

say "3 of 3: benchmark, checked before it is timed (about 2 minutes)"
timeout "${BENCHMARK_SECONDS:-180}" "$python" kernels/benchmarks/run.py --device cuda --rounds 3 \
    --cases core_56_n16 core_56_n1 core_28_n1 core_odd --out "$out/results.csv" 2>&1 |
    tee "$out/benchmark.txt"
benchmark=${PIPESTATUS[0]}

say "tests: exit $tests, benchmark: exit $benchmark; everything is in $out"
[ "$tests" -eq 0 ] && [ "$benchmark" -eq 0 ]
