"""A published data set in files, and the same prepared."""

import pytest
from layouts import write_voc
from rsreward_tools.data.published import prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set with its root, prepared in `out`."""
    root = tmp_path_factory.mktemp("prepared")
    write_voc(root)
    prepare("dior_rsvg", root, root / "out")
    return root
