"""The Triton kernels compile for GPUs that are not here, and the usual ones spill no registers.

Interpreting and compiling exclude one another in a process, so the compiler runs in a child.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys

import pytest

FORWARD, BACKWARD = 'scan_forward', 'scan_backward'
COMPILER = """
import json, os, subprocess, sys, tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from mamba_kernels import triton_scan

SIZES = ('length steps dim routes rank state x_row x_route params_size').split()
TOOL = os.path.join(os.path.dirname(triton.__file__), 'backends', 'nvidia', 'bin', 'cuobjdump')

def build(kernel, arch, dtype, aligned, constants):
    function = getattr(triton_scan, kernel)
    if kernel == 'scan_backward':
        constants = {k: v for k, v in constants.items() if k != 'SAVE'}
    data = {'x': dtype, 'params': dtype, 'delta': dtype, 'y': dtype, 'dy': dtype, 'table': 'i32'}
    signature = {
        name: 'constexpr' if name in constants else
        'i32' if name in SIZES else '*' + data.get(name, 'fp32')
        for name in function.arg_names
    }
    hints = {
        (place,): [['tt.divisibility', 16]] for place, name in enumerate(function.arg_names)
        if aligned and name not in constants and name not in ('routes', 'rank', 'state')
    }  # what a launch tells the compiler of torch's memory and of widths in sixteens
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=hints)
    target = GPUTarget('cuda', arch, 32)
    code = triton.compile(source, target=target, options={'num_warps': 1}).asm['cubin']
    if not os.path.exists(TOOL):
        return None
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(code)
        file.flush()
        usage = subprocess.run([TOOL, '-res-usage', file.name], capture_output=True, text=True)
    words = (usage.stdout + usage.stderr).replace(':', ' ').split()
    return int(words[words.index('STACK') + 1])

print(json.dumps([build(*request) for request in json.load(sys.stdin)]))
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('triton') is None, reason='Triton is not installed'
)


def request(
    kernel, arch, state, block, rank, *, dtype='bf16', aligned=True, table=True, softplus=True
):
    constants = {'RANK': rank, 'STATE': state, 'BLOCK': block, 'TILE': 64}
    switches = {'TABLE': table, 'SOFTPLUS': softplus, 'SAVE': True}
    return (kernel, arch, dtype, aligned, {**constants, **switches})


def stacks(requests):
    """Bytes of stack a thread, which is where spilled registers go; None where no tool reads it."""
    environment = {**os.environ, 'TRITON_INTERPRET': '0'}
    done = subprocess.run(
        [sys.executable, '-c', COMPILER],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


# state, channels and rank of a program as triton_launch chooses them
USUAL = ((1, 32, 8), (1, 64, 4), (16, 32, 8), (16, 32, 0))


@functools.lru_cache(maxsize=1)
def usual():
    asked = [
        (kernel, arch, *sizes)
        for kernel in (FORWARD, BACKWARD)
        for arch in (80, 90)
        for sizes in USUAL
    ]
    return dict(zip(asked, stacks([request(*key) for key in asked]), strict=True))


@pytest.mark.parametrize('sizes', USUAL, ids=str)
@pytest.mark.parametrize('arch', [80, 90])
def test_the_forward_kernel_compiles_and_spills_nothing(arch, sizes):
    assert usual()[(FORWARD, arch, *sizes)] in (0, None)


@pytest.mark.parametrize('sizes', USUAL, ids=str)
def test_the_backward_kernel_spills_nothing_on_hopper(sizes):
    assert usual()[(BACKWARD, 90, *sizes)] in (0, None)


@pytest.mark.parametrize('sizes', USUAL, ids=str)
def test_the_backward_kernel_spills_little_on_ampere(sizes):
    spilled = usual()[(BACKWARD, 80, *sizes)]
    assert spilled is None or spilled <= 32


@pytest.mark.full
@pytest.mark.parametrize('dtype', ['fp32', 'fp16', 'bf16'])
@pytest.mark.parametrize('arch', [80, 90])
def test_every_variant_compiles(arch, dtype):
    """Each power of two of the state with ranks, tables and softplus on and off."""
    requests = []
    for kernel in (FORWARD, BACKWARD):
        for state in (1, 2, 4, 8, 16, 32, 64):
            for rank in (0, 1, 16):
                block = max(8, min(64, 512 // max(state, rank)))
                for table, softplus in ((True, True), (False, False)):
                    switches = {
                        'dtype': dtype,
                        'table': table,
                        'softplus': softplus,
                        'aligned': False,
                    }
                    requests.append(request(kernel, arch, state, block, rank, **switches))
    spilled = stacks(requests)
    forward = spilled[: len(spilled) // 2]
    assert set(forward) <= {0, None}
