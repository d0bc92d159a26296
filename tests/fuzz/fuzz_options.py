"""Odd options of the commands, and odd data for predictions."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from fuzz_books import Case
from fuzz_content import WORDS, argument, expression

NUMBERS = ("nan", "inf", "-inf", "1e400", "-1", "0", "-0.0", "1e-320", "1e308", "0.5", "1", "2",
           "3.7", "1_0", "٣", "0x1", "", " ", "1,5", "99999999999999999999", "x")  # fmt: skip
_PLACES = (
    "B1", "B2", "B3", "B1:B2", "B1:B3", "$B$1", "b1:b2", "B2:B1", "B1,B1", "B1:B2,B2:B3", "B1;B2",
    "B1 B2", "Model!B1:B2", "'Model'!B1", "nowhere!B1", "A1:B2", "A:A", "1:1", "A1:XFD1048576",
    "B1:B99999", "Z99", "Z1:Z3", "XFE1", "A0", "A1048577", "C6", "C6:C13", "A6:A13", "A5:C13", "H1",
    "slope", "slope,intercept", "errors", "Scale", "Half", "nothing", "Fit", "Fit[x]", "Fit[none]",
    "Fit[", "[x]", "=B1", "(B1)", "(B1,B2)", "()", ",", "!", "Model!", "!B1", "B1:", ":B1", "B1#",
    "{1}", "B3:B3", "solver_opt",
)  # fmt: skip
_RELATIONS = ("<=", ">=", "=", "<", ">", "==", "=<", "<>", "int", "bin", "dif", "alldifferent", "",
              "≤", "int <= 3", "bin 2")  # fmt: skip
_OPTIMIZERS = (
    "sgd", "momentum", "adam", "adamw", "rmsprop", "adagrad", "nadam", "lbfgs", "least-squares",
    "l-bfgs-b", "slsqp", "trust-constr", "highs", "newton", "adadelta", "radam", "asgd", "rprop",
    "sparseadam", "adafactor", "muon", "Adam", "optimizer", "__init__", "", "lr_scheduler", "none",
)  # fmt: skip
_SCHEDULES = (
    "cosine-annealing", "one-cycle", "step", "step,step_size=100,gamma=0.5", "step,step_size=0",
    "exponential", "exponential,gamma=nan", "reduce-lr-on-plateau", "cyclic", "lambda", "constant",
    "linear", "polynomial", "multi-step", "cosine-annealing,T_max=0", "one-cycle,max_lr=-1", "x=y",
    ",", "step,", "step,gamma", "sequential", "step,step_size=x", "step,step_size=1e400",
)  # fmt: skip
_ARGUMENTS = ("weight_decay=0.01", "weight_decay=nan", "betas=(0.9,0.99)", "betas=1", "momentum=2",
              "lr=1", "eps=0", "eps=-1", "x=1", "=", "a", "=1", "foreach=True", "maximize=True",
              "history_size=0", "line_search_fn=x", "weight_decay=[1]", "params=None", "fused=True",
              "weight_decay=__import__('os')", "amsgrad=1e400", "differentiable=True",
              "capturable=True")  # fmt: skip


def _sense(random: Random) -> str:
    number = random.choice(NUMBERS)
    return random.choice(["min", "max", "value=0", "MIN", "", "x", f"value={number}"])


def _constraint(random: Random) -> str:
    right = random.choice([*NUMBERS, *_PLACES, expression(random, 2)])
    text = f"{random.choice(_PLACES)} {random.choice(_RELATIONS)} {right}"
    return random.choice([text, text, text, text.replace(" ", ""), _text(random)])


def _text(random: Random) -> str:
    """A hostile word."""
    return argument(random.choice(WORDS))


def _training_option(random: Random) -> tuple[str, ...]:
    place, number = random.choice(_PLACES), random.choice(NUMBERS)
    return random.choice([
        ("--constraint", _constraint(random)), ("--constraint", _constraint(random)),
        ("--constraint", _constraint(random), "--constraint", _constraint(random)),
        ("--no-constraints",), ("--non-negative",), ("--any-sign",), ("--watch", place),
        ("--optimizer", random.choice(_OPTIMIZERS)), ("--optimizer", random.choice(_OPTIMIZERS)),
        ("--engine", random.choice(["auto", "torch", "scipy", "x"])), ("--lr", number),
        ("--optimizer", "adam", "--lr", number), ("--set", random.choice(_ARGUMENTS)),
        ("--optimizer", random.choice(_OPTIMIZERS), "--set", random.choice(_ARGUMENTS)),
        ("--optimizer", "adam", "--schedule", random.choice(_SCHEDULES)), ("--clip-norm", number),
        ("--clip-value", number), ("--epochs", random.choice(["0", "1", "-1", "x", "1e3", ""])),
        ("--max-time", number), ("--convergence", number), ("--tolerance", number),
        ("--device", random.choice(["cuda", "cpu", "meta", "x", "", "cpu:1", "mps", "xla"])),
        ("--dtype", random.choice(["float32", "float64", "x"])),
        ("--starts", random.choice(["1", "2", "17", "0", "x"])),
        ("--batch-size", random.choice(["1", "3", "8", "9", "99999999999999999999", "0", "x"])),
        ("--batch-size", "2", "--no-shuffle", "--validation", "0.3"),
        ("--validation", random.choice([*NUMBERS, *_PLACES, "kind=red", "=", "x=", "y=1", "x=1"])),
        ("--metric", random.choice(["accuracy", "error_rate", "B1", place, "x", ""])),
        ("--patience", random.choice(["1", "2", "0", "x", "99999999999999999999"])),
        ("--freeze", place), ("--freeze", "B1"), ("--freeze", "B1:B2"), ("--dropout-off",),
        ("--stage", f"{place}={random.choice(['1', '2', '0', '-1', 'x', ''])}"),
        ("--stage", "B1=1", "--stage", "all=2"), ("--stage", random.choice(["=", "all", "B1"])),
        ("--init", random.choice(["file", "normal", "uniform", "zeros", "x"])),
        ("--seed", random.choice(["0", "-1", "9223372036854775807", "9223372036854775808", "x"])),
        ("--report", random.choice(["all", "none", "training", "answer,sensitivity,limits", "x", "",
                                    "statistics", "gradients", "all,none", ",", "limits"])),
        ("--report", "all"), ("--history-every", random.choice(["1", "7", "0", "9" * 30])),
        ("--store-model",), ("--in-place",), ("--sheet", random.choice(["Model", _text(random)])),
    ])  # fmt: skip


def _model_options(random: Random, case: Case) -> tuple[str, ...]:
    objective, variables = "B3", "B1:B2"
    action = random.choice(["objective", "variables", "sense", "text", "several"])
    if action == "objective":
        objective = random.choice(_PLACES)
    elif action == "variables":
        variables = random.choice(_PLACES)
    elif action == "sense":
        return (*case.model, "--sense", _sense(random))
    elif action == "several":
        return ("--variables", random.choice(_PLACES), "--variables", random.choice(_PLACES))
    else:
        return (random.choice(["--objective", "--variables", "--sense", "--sheet"]), _text(random))
    return ("--objective", objective, "--variables", variables)


def spoil_options(random: Random, case: Case) -> Case:
    """One option of one or all commands that is unusual, or that nobody should give."""
    action = random.choice(["model", "train", "train", "train", "export", "predict"])
    if action == "model":
        options = _model_options(random, case)
        return replace(case, model=options).noted(f"model options {options}")
    if action == "train":
        options = _training_option(random)
        return replace(case, training=(*case.training, *options)).noted(f"train {options}")
    if action == "export":
        options = random.choice([
            ("--explain",), ("--outputs", random.choice(_PLACES)), ("--json",),
            ("-o", random.choice(["model.txt", "no/such/model.py", ".", "", "book.xlsx"])),
            ("--to", random.choice(["safetensors", "x", "PYTHON"])),
        ])  # fmt: skip
        return replace(case, exporting=(*case.exporting, *options)).noted(f"export {options}")
    options = random.choice([
        ("--outputs", random.choice(_PLACES)), ("--outputs", _text(random)), ("--json",),
        ("--data-sheet", random.choice(["Model", _text(random)])),
        ("-o", random.choice(["predicted.xlsx", "predicted.txt", "predicted.parquet", ".", ""])),
        ("--sheet", random.choice(["Model", _text(random)])),
    ])  # fmt: skip
    return replace(case, predicting=(*case.predicting, *options)).noted(f"predict {options}")


# ---------------------------------------------------------------- data

_CELLS = ("1", "-2.5", "", " ", "nan", "inf", "1e400", "x", "TRUE", "#N/A", "=1+1", '"', '"a,b"',
          '"a\nb"', "1;2", "\x00", "\x1b[31m", "é", "9" * 400, "1,2", "0x1", "٣", "2020-01-01",
          "red", "null", "None", "-0", "1e-320", "'")  # fmt: skip
_HEADS = ("x", "y", "x1", "x2", "kind", "X", " x", "slope", "", "A", "predicted", "error", "p",
          "=x", "x,x", '"x"', "\ufeffx", "\x1b[31mx", "1", "x" * 300)  # fmt: skip


def _table(random: Random, heads: list[str]) -> str:
    separator = random.choice([",", ",", ",", ";", "\t", "|"])
    lines = [heads]
    for _ in range(random.choice([0, 1, 3, 40])):
        count = len(heads) + random.choice([0] * 20 + [-1, 1])
        lines.append([
            random.choice(_CELLS) if random.random() < 0.1 else str(random.randint(0, 9))
            for _ in range(count)
        ])  # fmt: skip
    return random.choice(["\n", "\n", "\r\n", "\r"]).join(map(separator.join, lines))


def _bytes(random: Random, text: str, case: Case) -> tuple[bytes, str, str]:
    """Data, the name of their file, and what was done to them."""
    data = text.encode("utf-8", "replace")
    place = random.randrange(len(data) + 1)
    made: list[tuple[bytes, str, str]] = [
        (b"\xef\xbb\xbf" + data, "data.csv", "byte order mark"), (b"", "data.csv", "empty"),
        (data[:place], "data.csv", "cut"), (b"\n\n" + data, "data.csv", "blank lines"),
        (data[:place] + b"\0" + data[place:], "data.csv", "NUL"),
        (data[:place] + b"\xff" + data[place:], "data.csv", "no UTF-8"),
        (text.encode("utf-16"), "data.csv", "UTF-16"),
        (random.randbytes(200), "data.csv", "noise"), (data, "data.parquet", "no parquet"),
        (data, "data.xlsx", "no workbook"), (case.workbook(), "data.xlsx", "the workbook"),
        (data, "data.txt", "a text file"), (data, "data", "without an ending"),
        (case.workbook(), "data.csv", "a workbook named .csv"),
        (data + b'"', "data.csv", "open quotation mark"),
        (data.replace(b"1", b'"1"'), "data.csv", "quoted numbers"),
        (b'"' + b"x" * 200_000 + b'"\n1\n', "data.csv", "a very long cell"),
    ]  # fmt: skip
    return random.choice(made)


def spoil_data(random: Random, case: Case) -> Case:
    """A table with odd headings and cells, or bytes that are no table."""
    heads = case.data.decode("utf-8", "replace").partition("\n")[0].split(",")
    action = random.choice(["cells", "heads", "bytes", "bytes"])
    if action == "heads":
        for _ in range(random.randint(1, 2)):
            place = random.randrange(len(heads) + 1)
            heads[place : place + random.choice([0, 1])] = random.choice(
                [[random.choice(_HEADS)], [], heads[:1]]
            )
    text = _table(random, heads)
    if action != "bytes":
        return replace(case, data=text.encode("utf-8", "replace")).noted(f"data {text[:60]!r}")
    data, name, note = _bytes(random, text, case)
    return replace(case, data=data, data_name=name).noted(f"data {name}: {note}")
