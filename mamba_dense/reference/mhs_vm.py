"""MHS-VM's golden records: the authors' targets and arguments, and ours for them."""

from typing import Any

import torch
from torch import Tensor

from ..backbones.mhs_vm import Arch, Block
from ..medical.unet import AUTHOR_KEYS
from ..mixers import MultiHeadMixer, MultiHeadScan, ScanHead, gated_fusion
from ..mixers.multi_head_scan import PATTERNS
from ..routes import routes
from .record import Record
from .subject import Arguments, Outputs, Subject, channel_last
from .vm_unet import network_subject, take_block, take_norm

LETTERS = 'CXSZ'


def _fields(arguments: Arguments) -> dict[str, Any]:
    """The `Arch` fields of a mixer, from its `para_dict`; the routes follow from the map."""
    arguments.ignore('route_dict')
    found = dict(arguments.take('para_dict'))
    return {
        'heads': found['head_num'],
        'threshold': found['gfu_t'],
        'project': found['with_proj'],
    }


def build_network(record: Record) -> Subject:
    """`VMUNet` of MHS-VM."""
    return network_subject(record, 'MHSVM', 'MHSUNetHead', _fields(Arguments(record)))


def build_block(record: Record) -> Subject:
    """`VSSBlock`, channel-last."""
    arguments = Arguments(record)
    take_norm(arguments)
    take_block(arguments)
    fields = _fields(arguments)
    arch = Arch((), (), state=arguments.take('d_state'), **fields)
    block = Block(arguments.take('hidden_dim'), arch)
    arguments.end()
    return Subject(lambda inputs: {'out': block(*inputs)}, block, AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`VSSGate` and `VSSUnGated`, channel-last."""
    arguments = Arguments(record)
    take_block(arguments)
    mixer = MultiHeadMixer(
        arguments.take('d_model'),
        state=arguments.take('d_state'),
        gated=record.target == 'VSSGate',
        **_fields(arguments),
    )
    arguments.end()
    return Subject(lambda inputs: {'out': mixer(*inputs)}, mixer, AUTHOR_KEYS)


def build_scan(record: Record) -> Subject:
    """`MHSM`, from a channel-first map to a channel-last one."""
    arguments = Arguments(record)
    arguments.only('dt_rank', 'auto')
    scan = MultiHeadScan(
        arguments.take('d_model'), state=arguments.take('d_state'), **_fields(arguments)
    )
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        return {'out': scan(channel_last(*inputs))}

    return Subject(run, scan, AUTHOR_KEYS)


def build_head(record: Record) -> Subject:
    """`ScanHead`: sequences before and after the scan, back in place, and fused; (B, ..., s, L)."""
    arguments = Arguments(record)
    arguments.only('dt_rank', 'auto')
    arguments.ignore('route_dict')
    head = ScanHead(
        arguments.take('dim_sub'),
        state=arguments.take('d_state'),
        routes=PATTERNS[LETTERS.index(arguments.take('pattern'))],
        threshold=arguments.take('gfu_t'),
    )
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x = channel_last(*inputs)  # (B, H, W, s)
        order = routes(head.routes, x.shape[1:3]).order.long()  # (K, L)
        placed = head.scan(x).flatten(1, 2).permute(0, 2, 3, 1)  # (B, K, s, L)
        tokens = x.flatten(1, 2).transpose(1, 2)  # (B, s, L)
        index = order[None, :, None].expand_as(placed)
        return {
            'routed_in': tokens[:, :, order].transpose(1, 2),
            'engine_out': placed.gather(3, index),
            'rearranged': placed,
            'out': head(x).flatten(1, 2).transpose(1, 2),
        }

    return Subject(run, head, AUTHOR_KEYS)


def build_fusion(record: Record) -> Subject:
    """`GFU`, (B, K, s, L) to (B, s, L)."""
    arguments = Arguments(record)
    threshold = arguments.take('t')
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        (y,) = inputs
        return {'out': gated_fusion(y.transpose(1, 2), threshold)}  # (B, s, K, L)

    return Subject(run)


def build_routes(record: Record) -> Subject:
    """`routes`: the eight base routes for every size of the record."""
    arguments = Arguments(record)
    sizes = [tuple(size) for size in arguments.take('sizes')]
    arguments.end()

    def run(_inputs: tuple[Tensor, ...]) -> Outputs:
        tables = {f'{H}x{W}': routes('mhs-vm', (H, W)).order for H, W in sizes}
        return {name: torch.as_tensor(order) for name, order in tables.items()}

    return Subject(run)


TARGETS = {
    'VMUNet': build_network,
    'VSSBlock': build_block,
    'VSSGate': build_mixer,
    'VSSUnGated': build_mixer,
    'MHSM': build_scan,
    'ScanHead': build_head,
    'GFU': build_fusion,
    'routes': build_routes,
}
