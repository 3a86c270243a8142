"""The check that tests/mutants.py makes first: a file's tests pass as long as nothing is edited."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import mutants
results = mutants.Results(Path(sys.argv[2], "results.jsonl"))
print(mutants.limit(Path(sys.argv[2]), "rsreward/metrics/tally.py", results))
"""


@pytest.mark.parametrize("passes", [True, False])
def test_tests_that_fail_without_any_edit_end_the_run(tmp_path, passes):
    (tmp_path / "tests/core").mkdir(parents=True)
    (tmp_path / "tests/core/test_tally.py").write_text(f"def test_it():\n    assert {passes}\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    command = [sys.executable, "-c", RUN, Path(__file__).parent, tmp_path]
    for _ in range(2):  # the second time as the first run wrote it down
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == (not passes)
        assert (
            int(done.stdout) >= 10
            if passes
            else "The tests of rsreward/metrics/tally.py fail without any" in done.stderr
        )
    [line] = (tmp_path / "results.jsonl").read_text().splitlines()
    assert json.loads(line)[:2] == ["rsreward/metrics/tally.py without an edit", not passes]
