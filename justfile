# Spoils N workbooks and their commands' options, and says what is not taken like an adult.
fuzz N='1000':
    OMP_NUM_THREADS=1 .venv/bin/python tests/fuzz/fuzzer.py {{N}}
