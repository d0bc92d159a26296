"""Where the corpus of real workbooks is: beside the project, or where XL2TORCH_CORPUS says.

The corpus is not part of the project; tests that need it are skipped where it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORPUS = Path(os.environ.get("XL2TORCH_CORPUS", ROOT.parent / "shared" / "corpus"))
WORKBOOKS = ROOT / "workbooks"

requires_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of real workbooks is not beside this clone"
)

SAMPLES = sorted(path for path in WORKBOOKS.glob("*.xlsx") if not path.stem.endswith("-trained"))
"""The sample workbooks; what was trained from them stands at a kink perhaps."""
