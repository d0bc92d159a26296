"""Settings for all tests."""

import sys
from pathlib import Path

import hypothesis

# Helpers of the tests (corpus, judges, cells, …) are imported by their plain names from any folder.
for folder in ("", "functions"):
    sys.path.insert(0, str(Path(__file__).parent / folder))

hypothesis.settings.register_profile("project", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.load_profile("project")
