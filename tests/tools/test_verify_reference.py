"""tools/verify_reference.py: its lines, its totals and its exit status."""

import importlib.util
import json
import re
import shutil

import pytest

LINE = re.compile(r'(\w+)/(\w+)  (OK|FAIL|UNSUPPORTED)  (\d\.\d\de[+-]\d\d|nan|-)  (\d+|-)')


@pytest.fixture(scope='module')
def tool(root):
    spec = importlib.util.spec_from_file_location('verify', root / 'tools/verify_reference.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(root, tmp_path):
    """A folder of records as a user would have: one family, a few records."""
    target = tmp_path / 'vmamba'
    target.mkdir()
    for name in ('block_v0', 'patch_merging_odd'):
        for suffix in ('.json', '.npz'):
            source = root / 'tests' / 'golden' / 'vmamba' / f'{name}{suffix}'
            shutil.copyfile(source, target / source.name)
    return tmp_path


def _change(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_all_ok(tool, folder, capsys):
    assert tool.main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [LINE.fullmatch(line)[2] for line in lines[:-1]] == ['block_v0', 'patch_merging_odd']
    assert LINE.fullmatch(lines[0])[5] == '14448'
    assert lines[-1] == '2 records: 2 passed, 0 failed, 0 unsupported'


def test_the_name_of_a_file_decides_nothing(tool, folder, capsys):
    for suffix in ('.json', '.npz'):
        (folder / 'vmamba' / f'block_v0{suffix}').rename(folder / 'vmamba' / f'mine{suffix}')
    assert tool.main([str(folder), '--family', 'vmamba']) == 0
    assert 'vmamba/mine  OK' in capsys.readouterr().out


def test_failures_and_unsupported_are_counted(tool, folder, capsys):
    family = folder / 'vmamba'
    for suffix in ('.json', '.npz'):
        shutil.copyfile(family / f'block_v0{suffix}', family / f'other{suffix}')
        shutil.copyfile(family / f'block_v0{suffix}', family / f'count{suffix}')
    _change(family / 'other.json', lambda data: data['build'].update(target='Nothing'))
    _change(family / 'count.json', lambda data: data.update(num_parameters=1))
    (family / 'broken.json').write_text('{')
    assert tool.main([str(folder)]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    status = {LINE.fullmatch(line)[2]: LINE.fullmatch(line)[3] for line in lines[:-1]}
    assert status == {
        'block_v0': 'OK',
        'broken': 'FAIL',
        'count': 'FAIL',
        'other': 'UNSUPPORTED',
        'patch_merging_odd': 'OK',
    }
    assert lines[-1] == '5 records: 2 passed, 2 failed, 1 unsupported'
    assert "no builder for target 'Nothing'" in err
    assert '14448 parameters, the authors have 1' in err


def test_a_family_without_a_table(tool, folder, capsys):
    (folder / 'vmamba').rename(folder / 'nobody')
    assert tool.main([str(folder)]) == 1
    assert 'nobody/block_v0  UNSUPPORTED  -  -' in capsys.readouterr().out


@pytest.mark.parametrize('options', [['--family', 'absent'], []], ids=['family', 'empty'])
def test_nothing_to_check_is_an_error(tool, folder, options, capsys):
    if not options:
        shutil.rmtree(folder / 'vmamba')
    assert tool.main([str(folder), *options]) == 2
    assert 'has no records' in capsys.readouterr().err


def test_a_folder_that_is_not_there(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path / 'none')]) == 2
    assert 'is not a folder' in capsys.readouterr().err
