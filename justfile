# All tests, as CI runs them.
test:
    .venv/bin/python -m pytest -n auto

# One case of each test that takes no seconds and needs no other program.
fast:
    .venv/bin/python -m pytest -n auto --fast

# Lint and types, as CI runs them.
lint:
    .venv/bin/ruff check .
    .venv/bin/mypy

# Spoils N workbooks and their commands' options, and says what is not taken like an adult.
fuzz N='1000':
    OMP_NUM_THREADS=1 .venv/bin/python tests/fuzz/fuzzer.py {{N}}
