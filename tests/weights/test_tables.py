"""Tables of positions: resized to other grids, and the class token's row found in the middle."""

import pytest
import torch
from torch.nn import functional as F

from mamba_dense.weights import KeyMap, KeyMismatchError, resize_table
from mamba_dense.weights.tables import adapt_table

TABLES = KeyMap(copy=((r'^pos$', 'cls_pos'),), tables=('^pos$', '^cls_pos$'))


def numbered(rows, width=2):
    """A table in which row i holds i."""
    return torch.arange(float(rows))[None, :, None].expand(1, rows, width).clone()


def test_the_same_grid_gives_the_table_itself():
    table = torch.randn(1, 3, 4, 5)
    assert resize_table(table, (3, 4)) is table


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_resizing_is_bicubic(dtype):
    table = torch.randn(1, 3, 4, 5).to(dtype)
    got = resize_table(table, (6, 5))
    assert got.shape == (1, 6, 5, 5) and got.dtype == dtype
    wide = table.double() if dtype == torch.float64 else table.float()
    want = F.interpolate(wide.permute(0, 3, 1, 2), (6, 5), mode='bicubic', align_corners=False)
    torch.testing.assert_close(got, want.permute(0, 2, 3, 1).to(dtype))


@pytest.mark.parametrize('side', [1, 2, 3, 4, 14])
def test_a_class_token_in_the_middle_is_left_out(side):
    count = side * side
    middle = count // 2
    got = adapt_table(numbered(count + 1), (1, side, side, 2))
    want = [row for row in range(count + 1) if row != middle]
    assert got[0, ..., 0].flatten().tolist() == want
    assert adapt_table(numbered(count + 1), (1, 1, 2)).flatten().tolist() == [middle] * 2


def test_a_rectangular_grid_is_the_targets():
    got = adapt_table(numbered(25), (1, 4, 6, 2))
    assert got[0, ..., 0].flatten().tolist() == [*range(12), *range(13, 25)]
    assert adapt_table(numbered(24), (1, 4, 6, 2))[0, ..., 0].flatten().tolist() == [*range(24)]


def test_a_table_of_another_grid_is_resized_through_the_map():
    source = torch.randn(1, 17, 3)
    target = {'pos': torch.empty(1, 6, 6, 3), 'cls_pos': torch.empty(1, 1, 3)}
    plan = TABLES.plan({'pos': source}, target)
    assert torch.equal(plan.tensors['cls_pos'], source[:, 8:9])
    rows = source[:, [i for i in range(17) if i != 8]].reshape(1, 4, 4, 3)
    torch.testing.assert_close(plan.tensors['pos'], resize_table(rows, (6, 6)))
    assert plan.adapted == ('pos: 17 -> 6x6 positions',)
    dense = TABLES.plan({'pos': source}, {'pos': torch.empty(1, 4, 4, 3)})
    assert torch.equal(dense.tensors['pos'], rows) and not dense.adapted


def test_a_table_in_our_own_layout_keeps_its_grid():
    source = torch.randn(1, 2, 8, 3)
    plan = TABLES.own().plan({'pos': source}, {'pos': torch.empty(1, 4, 4, 3)})
    torch.testing.assert_close(plan.tensors['pos'], resize_table(source, (4, 4)))
    assert plan.adapted == ('pos: 2x8 -> 4x4 positions',)


@pytest.mark.parametrize(
    ('source', 'target'),
    [
        (torch.zeros(1, 17, 3), torch.empty(1, 4, 4, 5)),
        (torch.zeros(1, 15, 3), torch.empty(1, 4, 4, 3)),
        (torch.zeros(17, 3), torch.empty(1, 4, 4, 3)),
    ],
    ids=['another width', 'no grid', 'no batch axis'],
)
def test_what_is_no_such_table_is_refused(source, target):
    with pytest.raises(KeyMismatchError, match='of another shape'):
        TABLES.plan({'pos': source}, {'pos': target})


def test_a_class_token_that_the_file_lacks_is_refused():
    target = {'pos': torch.empty(1, 4, 4, 3), 'cls_pos': torch.empty(1, 1, 3)}
    with pytest.raises(KeyMismatchError, match='cls_pos'):
        TABLES.plan({'pos': torch.zeros(1, 16, 3)}, target)
