"""The Triton kernels compiled for GPUs that are not here, and what their loops are made of.

Interpreting and compiling exclude one another in a process, so the compiler runs in a child.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from mamba_kernels import launch_table
from mamba_kernels.checks import CHECKPOINT
from mamba_kernels.triton_launch import fitting

FORWARD, BACKWARD, ENDS, CARRY = 'scan_forward', 'scan_backward', 'chunk_ends', 'carry_chunks'
COMPILER = r"""
import json, os, re, subprocess, sys, tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from mamba_kernels import triton_chunks, triton_scan

SIZES = 'length steps span dim routes x_row x_route params_size borders'.split()
TOOLS = os.path.join(os.path.dirname(triton.__file__), 'backends', 'nvidia', 'bin')

def compiled(kernel, arch, dtype, constants):
    function = getattr(triton_scan, kernel, None) or getattr(triton_chunks, kernel)
    names = function.arg_names
    constants = {k: v for k, v in constants.items() if k in names}
    data = {'x': dtype, 'delta': dtype, 'y': dtype, 'dy': dtype, 'table': 'i32'}
    signature = {
        name: 'constexpr' if name in constants else
        'i32' if name in SIZES else '*' + data.get(name, 'fp32')
        for name in names
    }
    hints = {
        (place,): [['tt.divisibility', 16]] for place, name in enumerate(names)
        if name not in constants and name not in triton_scan.POINTERS and name != 'routes'
    }  # what a launch tells the compiler of widths and chunks in sixteens
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=hints)
    options = {'num_warps': 1, 'enable_fp_fusion': True}
    return triton.compile(source, target=GPUTarget('cuda', arch, 32), options=options)

def run(tool, *arguments):
    done = subprocess.run([os.path.join(TOOLS, tool), *arguments], capture_output=True, text=True)
    return done.stdout + done.stderr

def loops(listing):
    # instructions from each label to a branch back to it, shortest first
    code, labels, found = [], {}, []
    for line in listing.splitlines():
        label = re.match(r'\s*(\.L_x_\d+):', line)
        instruction = re.match(r'\s*/\*[0-9a-f]{4,}\*/\s+(.*?);', line)
        if label:
            labels[label[1]] = len(code)
        elif instruction:
            code.append(instruction[1])
            back = re.search(r'BRA.*?`\((\.L_x_\d+)\)', instruction[1])
            if back and labels.get(back[1], len(code)) < len(code) - 1:
                found.append(code[labels[back[1]]:])
    return sorted(found, key=len)

def build(kernel, arch, dtype, constants):
    code = compiled(kernel, arch, dtype, constants).asm['cubin']
    if not all(os.path.exists(os.path.join(TOOLS, tool)) for tool in ('cuobjdump', 'nvdisasm')):
        return None
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(code)
        file.flush()
        words = run('cuobjdump', '-res-usage', file.name).replace(':', ' ').split()
        listing = run('nvdisasm', '-c', file.name)
    count = lambda loop, word: sum(word in line for line in loop)
    return {'stack': int(words[words.index('STACK') + 1]), 'loops': [
        {'size': len(loop), 'barriers': count(loop, 'BAR.'), 'shuffles': count(loop, 'SHFL'),
         'powers': count(loop, 'MUFU.EX2'), 'wide': count(loop, 'LDG.E.64') + count(loop, '.128')}
        for loop in loops(listing) if count(loop, 'MUFU.EX2')
    ]}

print(json.dumps([build(*request) for request in json.load(sys.stdin)]))
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('triton') is None, reason='Triton is not installed'
)


def request(kernel, arch, state, block, rank, *, dtype='bf16', table=True, softplus=True):
    """A compilation; a kernel picks the constants that it has."""

    def padded(size):
        return 1 << max(size - 1, 0).bit_length()

    constants = {'rank': rank, 'state': state, 'RANK': padded(rank) if rank else 0}
    constants |= {'STATE': padded(state), 'BLOCK': block, 'TILE': CHECKPOINT, 'TABLE': table}
    constants |= {'SOFTPLUS': softplus, 'SAVE': True, 'REVERSE': kernel.endswith('reverse')}
    return (kernel.split()[0], arch, dtype, constants)


def compile_all(requests):
    """Of each: bytes of stack a thread, where spilled registers go, and its loops with an exp2."""
    done = subprocess.run(
        [sys.executable, '-c', COMPILER],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        env={**os.environ, 'TRITON_INTERPRET': '0'},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


# Most instructions that a warp issues for 32 updates (channel, state, step), a few more than were
# counted with Triton 3.6: state, channels and rank of the program -> the kernel's loops.
SLOTS = {
    (16, 32, 6): {FORWARD: (13,), ENDS: (11,), f'{ENDS} reverse': (11,), BACKWARD: (13, 54)},
    (1, 64, 6): {FORWARD: (78,), ENDS: (70,), f'{ENDS} reverse': (70,), BACKWARD: (74, 190)},
    (16, 32, 0): {FORWARD: (12.5,), ENDS: (11,), f'{ENDS} reverse': (11,), BACKWARD: (12.5, 47)},
    (1, 128, 3): {FORWARD: (59,), ENDS: (53,), f'{ENDS} reverse': (53,), BACKWARD: (55, 124)},
}
ONE_WAY = (FORWARD, ENDS, f'{ENDS} reverse')
QUICK = [
    (kernel, arch, sizes)
    for kernel, arch, of in ((FORWARD, 80, 2), (FORWARD, 90, 2), (BACKWARD, 90, 2), (ENDS, 90, 1))
    for sizes in list(SLOTS)[:of]
]
ALL = [(kernel, arch, sizes) for sizes in SLOTS for kernel in SLOTS[sizes] for arch in (80, 90)]
SLOW = [key for key in ALL if key not in QUICK]


@functools.lru_cache(maxsize=2)
def gate(keys):
    results = compile_all([request(kernel, arch, *sizes) for kernel, arch, sizes in keys])
    return dict(zip(keys, results, strict=True))


def check(key, result):
    if result is None:
        pytest.skip('this Triton brings no cuobjdump and nvdisasm')
    kernel, _, sizes = key
    budgets = SLOTS[sizes][kernel]
    loops = result['loops'][: len(budgets)]
    assert result['stack'] == 0, 'registers are spilled'
    per_update = [loop['size'] * 32 / (sizes[0] * sizes[1]) for loop in loops]
    for slots, most in zip(per_update, budgets, strict=True):
        assert slots <= most, f'{slots:.1f} instructions an update'
    state_loop = loops[0]  # the one loop of a forward kernel, the sweep's replay of a tile
    assert state_loop['powers'] >= sizes[0] * sizes[1] // 32
    assert not state_loop['shuffles'] and not state_loop['barriers']
    assert not state_loop['wide'], 'columns are read as if they were neighbours'


@pytest.mark.parametrize('key', QUICK, ids=str)
def test_the_loops(key):
    check(key, gate(tuple(QUICK))[key])


@pytest.mark.full
@pytest.mark.parametrize('key', SLOW, ids=str)
def test_the_loops_of_every_kernel(key):
    check(key, gate(tuple(SLOW))[key])


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('dtype', ['fp32', 'fp16', 'bf16'])
@pytest.mark.parametrize('arch', [80, 90])
def test_every_variant_compiles(arch, dtype):
    """Each power of two of the state with ranks, tables and softplus on and off."""
    requests = []
    for kernel in (*ONE_WAY, CARRY, f'{CARRY} reverse', BACKWARD):
        for state in (1, 2, 4, 8, 16, 32, 64):
            for rank in (0, 1, 16):
                block = fitting(launch_table.DEFAULT[state].blocks, state, rank)[0]
                for switch in (True, False):
                    switches = {'dtype': dtype, 'table': switch, 'softplus': switch}
                    requests.append(request(kernel, arch, state, block, rank, **switches))
    results = compile_all(requests)
    forward = results[: len(ONE_WAY) * len(results) // 6]
    assert {result['stack'] for result in forward if result} <= {0}
