"""A published data set in files and prepared, and a folder with an image."""

import pytest
from layouts import write_voc
from PIL import Image
from rsreward_tools.data.published import prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set with its root, prepared in `out`."""
    root = tmp_path_factory.mktemp("prepared")
    write_voc(root)
    prepare("dior_rsvg", root, root / "out")
    return root


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (800, 600)).save(tmp_path / "a.png")
    return tmp_path
