"""The configs are found in a checkout and in a plain install."""

from mamba_dense.engine import shipped


def test_checkout():
    assert (shipped.configs() / '_base_' / 'default_runtime.py').is_file()


def test_installed(tmp_path, monkeypatch):
    package = tmp_path / 'site-packages' / 'mamba_dense'
    (package / '.mim' / 'configs').mkdir(parents=True)
    monkeypatch.setattr(shipped, '_PACKAGE', package)
    assert shipped.configs() == package / '.mim' / 'configs'
