"""Settings for all tests, and the choice of a few that say soon whether a change holds.

``pytest --fast`` runs the first case of each test that is not slow, and needs neither LibreOffice
nor the corpus.
"""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core, and so have its subprocesses
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Helpers of the tests (corpus, judges, cells, …) are imported by their plain names from any folder.
for folder in ("", "excel"):
    sys.path.insert(0, str(Path(__file__).parent / folder))

hypothesis.settings.register_profile("project", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.load_profile("project")

NEEDS = {"corpus": "corpus", "LibreOffice": "libreoffice", "soffice": "libreoffice"}
"""Words in the reason why a test is skipped, and the marker of what it needs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="one case of each test, no slow ones")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        reasons = " ".join(str(mark.kwargs.get("reason")) for mark in item.iter_markers("skipif"))
        for word, marker in NEEDS.items():
            if word in reasons:
                item.add_marker(marker)
    if not config.getoption("--fast"):
        return
    chosen: dict[str, pytest.Item] = {}
    for item in items:
        if not any(item.get_closest_marker(name) for name in ("slow", "corpus", "libreoffice")):
            chosen.setdefault(item.nodeid.partition("[")[0], item)
    left_out = [item for item in items if chosen.get(item.nodeid.partition("[")[0]) is not item]
    config.hook.pytest_deselected(items=left_out)
    items[:] = chosen.values()
