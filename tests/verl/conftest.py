"""A watch that has seen nothing yet, for each test: what it tells depends on all rows of its process."""

import pytest
from rsreward_verl import score


@pytest.fixture(autouse=True)
def fresh_watch():
    score._watch.cache_clear()
