"""Descents written down the rows: rules that are recognised, slips, and torch beside the sheet."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from corpus import CORPUS, ROOT, requires_corpus
from grids import grid

import xl2torch
from xl2torch.errors import ModelError, SelectionError
from xl2torch.teach.replay.run import Replay, replay, replay_all

X = (1.0, 3.5, -2.0, 0.5, 2.5, -1.5, 4.0, -0.5, 1.5, 3.0, -2.5, 2.0)
TOP = 5
LAST = TOP + len(X) - 1


def sheet(
    tmp_path: Path, columns: dict[str, str], before: dict[str, str] | None = None,
    constants: str = "0.01 0.9 0.1 0.99 0.01", slip: tuple[str, str] | None = None,
) -> Replay:  # fmt: skip
    """x, y, b, a in A to D; other columns by letter, ``{r}`` the row, ``{p}`` the row before.

    A1:E1 are constants, C2 and D2 start values; N and O hold the new b and a.
    """
    letters = [chr(65 + place) for place in range(15)]
    lines = [constants, ". . 0.5 -0.5", ". ."]
    heads = {"A": "x", "B": "y", "C": "b", "D": "a", "N": "new_b", "O": "new_a"} | (before or {})
    lines.append(" ".join(heads.get(letter, ".") for letter in letters))
    for row, x in enumerate(X, TOP):
        previous = {"C": f"=N{row - 1}", "D": f"=O{row - 1}"}
        cells = {
            "A": repr(x), "B": repr(3 * x + 1 + math.sin(x)),
            "C": "=C2" if row == TOP else previous["C"],
            "D": "=D2" if row == TOP else previous["D"],
        } | {letter: text.format(r=row, p=row - 1) for letter, text in columns.items()}  # fmt: skip
        if slip is not None and slip[0] in {f"{letter}{row}" for letter in letters}:
            cells[slip[0][0]] = slip[1]
        lines.append(" ".join(cells.get(letter, ".") for letter in letters))
    return replay(grid(tmp_path, "\n".join(lines)), "S")


ERROR = {"E": "=C{r}+D{r}*A{r}", "F": "=2*(E{r}-B{r})", "G": "=F{r}*A{r}"}
SGD = ERROR | {"N": "=C{r}-$A$1*F{r}", "O": "=D{r}-$A$1*G{r}"}
MEANS = {"H": "=$B$1*H{p}+$C$1*F{r}", "I": "=$B$1*I{p}+$C$1*G{r}"}
SQUARES = {"J": "=$D$1*J{p}+$E$1*F{r}^2", "K": "=$D$1*K{p}+$E$1*G{r}^2"}
STARTED = {"H": "0.5", "I": "-0.25", "J": "4", "K": "9"}
ADAM = (
    ERROR | MEANS | SQUARES
    | {"N": "=C{r}-$A$1*H{r}/SQRT(J{r})", "O": "=D{r}-$A$1*I{r}/SQRT(K{r})"}
)  # fmt: skip
CORRECTED = ERROR | MEANS | SQUARES | {
    "L": "=ROW()-4",
    "N": "=C{r}-$A$1*(H{r}/(1-$B$1^L{r}))/SQRT(J{r}/(1-$D$1^L{r}))",
    "O": "=D{r}-$A$1*(I{r}/(1-$B$1^L{r}))/SQRT(K{r}/(1-$D$1^L{r}))",
}  # fmt: skip

EXACT = [
    ("SGD", SGD, {}, "torch.optim.SGD(lr=0.01)"),
    ("half the error", ERROR | {"F": "=E{r}-B{r}", "N": "=C{r}-$A$1*F{r}", "O": "=D{r}-$A$1*G{r}"},
     {}, "torch.optim.SGD(lr=0.01)"),
    ("an error column", SGD | {"H": "=(E{r}-B{r})^2"}, {}, "torch.optim.SGD(lr=0.01)"),
    ("a number in the formula", SGD | {"N": "=C{r}-0.02*F{r}", "O": "=D{r}-0.02*G{r}"}, {},
     "torch.optim.SGD(lr=0.02)"),
    ("momentum", ERROR | MEANS | {"N": "=C{r}-$A$1*H{r}", "O": "=D{r}-$A$1*I{r}"}, STARTED,
     "torch.optim.SGD(lr=0.01, momentum=0.9, dampening=0.9)"),
    ("heavy ball", ERROR | {"H": "=$B$1*H{p}+F{r}", "I": "=$B$1*I{p}+G{r}"}
     | {"N": "=C{r}-$A$1*H{r}", "O": "=D{r}-$A$1*I{r}"}, STARTED,
     "torch.optim.SGD(lr=0.01, momentum=0.9, dampening=0)"),
    ("rmsprop", ERROR | SQUARES
     | {"N": "=C{r}-$A$1*F{r}/SQRT(J{r})", "O": "=D{r}-$A$1*G{r}/SQRT(K{r})"}, STARTED,
     "torch.optim.RMSprop(lr=0.01, alpha=0.99, eps=0)"),
    ("adagrad", ERROR | {"J": "=J{p}+F{r}^2", "K": "=K{p}+G{r}^2"}
     | {"N": "=C{r}-$A$1*F{r}/SQRT(J{r})", "O": "=D{r}-$A$1*G{r}/SQRT(K{r})"}, STARTED,
     "torch.optim.Adagrad(lr=0.01, eps=0)"),
    ("adam, not corrected", ADAM, STARTED,
     "torch.optim.Adam(lr=0.01, betas=(0.9, 0.99), eps=0)"),
    ("adam", CORRECTED, {"H": "0", "I": "0", "J": "0", "K": "0"},
     "torch.optim.Adam(lr=0.01, betas=(0.9, 0.99), eps=0)"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "before", "code"), [item[1:] for item in EXACT],
                         ids=[item[0] for item in EXACT])  # fmt: skip
def test_rules_that_torch_has(
    columns: dict[str, str], before: dict[str, str], code: str, tmp_path: Path
) -> None:
    found = sheet(tmp_path, columns, before)
    assert found.match.code == code
    assert found.largest <= 1e-12 and found.first_divergence is None
    assert [weight.name for weight in found.descent.weights] == ["b", "a"]
    assert not any(text.startswith("a slip") for text in found.match.remarks)


def test_the_root_of_the_row_before_is_told_and_measured(tmp_path: Path) -> None:
    columns = ERROR | SQUARES
    columns |= {"N": "=C{r}-$A$1*F{r}/SQRT(J{p})", "O": "=D{r}-$A$1*G{r}/SQRT(K{p})"}
    found = sheet(tmp_path, columns, STARTED)
    assert found.match.kind is torch.optim.RMSprop
    assert any("of the row before" in text for text in found.match.remarks)
    assert found.first_divergence is not None and found.first_divergence.a1 == "C6"
    square, slope = 4.0, float(found.descent.columns[6][0])
    expected = 0.5 - 0.01 * slope / math.sqrt(0.99 * square + 0.01 * slope**2)
    assert float(found.path[1, 0]) == pytest.approx(expected, rel=1e-12)


def test_a_rate_for_each_weight(tmp_path: Path) -> None:
    found = sheet(tmp_path, SGD | {"O": "=D{r}-$B$1*$A$1*G{r}"})
    assert found.match.rates == pytest.approx((0.01, 0.009)) and found.largest < 1e-12
    assert any("A1 = 0.01 for b and B1*A1 = 0.009 for a" in text for text in found.match.remarks)


@pytest.mark.parametrize(("columns", "cell", "text"), [
    (SGD, "F9", "=2*E9-B9"), (SGD, "N8", "=C8-2*$A$1*F8"), (ADAM, "H7", "=$B$1*H6+$C$1*E7"),
])  # fmt: skip
def test_a_slip_is_named(columns: dict[str, str], cell: str, text: str, tmp_path: Path) -> None:
    found = sheet(tmp_path, columns, STARTED if columns is ADAM else {}, slip=(cell, text))
    (slip,) = [remark for remark in found.match.remarks if remark.startswith("a slip")]
    assert slip.startswith(f"a slip: {cell} holds {text}, ")
    assert found.largest > 1e-9 and found.first_divergence is not None
    assert found.first_divergence.row == int(cell[1:]) + 1


def test_a_slip_in_a_weight_is_named(tmp_path: Path) -> None:
    for cell, text in (("C9", "=N7"), ("D12", "=O11+0.5")):
        found = sheet(tmp_path, SGD, slip=(cell, text))
        (slip,) = [remark for remark in found.match.remarks if remark.startswith("a slip")]
        assert slip.startswith(f"a slip: {cell} holds {text}, ")
        assert found.first_divergence is not None and found.first_divergence.a1 == cell


def test_a_lagged_column_is_no_weight(tmp_path: Path) -> None:
    found = sheet(tmp_path, SGD | {"H": "=F{p}", "I": "=A{p}"})
    assert [weight.name for weight in found.descent.weights] == ["b", "a"]
    assert found.largest < 1e-12


def test_a_new_state_is_torchs_own(tmp_path: Path) -> None:
    columns = ERROR | MEANS | {"N": "=C{r}-$A$1*H{r}", "O": "=D{r}-$A$1*I{r}"}
    workbook = sheet(tmp_path, columns, STARTED).descent.workbook
    found = replay(workbook, "S", state="new")
    slope = float(found.descent.columns[6][0])
    assert float(found.path[1, 0]) == pytest.approx(0.5 - 0.01 * slope)  # the whole gradient
    assert found.largest > 1e-3


def test_epochs_go_on_from_the_last_row(tmp_path: Path) -> None:
    once = sheet(tmp_path, SGD)
    twice = replay(once.descent.workbook, "S", epochs=2)
    assert torch.equal(twice.path[: len(X) + 1], once.path)
    assert twice.epochs.shape == (3, 2) and torch.equal(twice.epochs[1], once.path[-1])
    b, a = once.path[-1].tolist()
    error = b + a * X[0] - (3 * X[0] + 1 + math.sin(X[0]))
    assert twice.path[len(X) + 1].tolist() == pytest.approx(
        [b - 0.02 * error, a - 0.02 * error * X[0]]
    )


def test_another_error(tmp_path: Path) -> None:
    """A logistic unit of one weight: the error is a column."""
    rows = ["0.05 . 0.2", "x y w p loss slope new"]
    for row, x in enumerate(X, 3):
        start = "=C1" if row == 3 else f"=G{row - 1}"
        rows.append(
            f"{x} {int(x > 0)} {start} =1/(1+EXP(-C{row}*A{row})) "
            f"=-(B{row}*LN(D{row})+(1-B{row})*LN(1-D{row})) =(D{row}-B{row})*A{row} "
            f"=C{row}-$A$1*F{row}"
        )
    found = replay(grid(tmp_path, "\n".join(rows)), "S")
    assert found.gradients.error.text(found.descent) == "loss (column E)"
    assert found.largest < 1e-13 and found.match.code == "torch.optim.SGD(lr=0.05)"


UNKNOWN = [
    (ERROR | {"N": "=C{r}-$A$1*SIGN(F{r})", "O": "=D{r}-$A$1*SIGN(G{r})"}, "none of those known"),
    (ERROR | {"F": "=E{r}^3", "N": "=C{r}-$A$1*F{r}", "O": "=D{r}-$A$1*G{r}"}, "no columns of"),
    (SGD | MEANS | {"O": "=D{r}-$A$1*I{r}"}, "follow different rules"),
]


@pytest.mark.parametrize(("columns", "message"), UNKNOWN)
def test_what_is_not_known_is_refused(
    columns: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        sheet(tmp_path, columns, STARTED)


def test_a_sheet_without_a_descent(tmp_path: Path) -> None:
    workbook = grid(tmp_path, "1 2\n3 =A1+B1")
    with pytest.raises(ModelError, match="sheet S holds no descent"):
        replay(workbook, "S")
    with pytest.raises(ModelError, match="no sheet of grid"):
        replay_all(workbook)
    with pytest.raises(SelectionError, match="no `state='old'`"):
        replay(workbook, "S", state="old")
    with pytest.raises(SelectionError, match="`epochs`"):
        replay(workbook, "S", epochs=0)


GRADDESC = [
    # sheet, torch, at most so different, and the cell where they part
    ("basic SGD", "torch.optim.SGD(lr=0.0001)", 1e-9, None),
    ("momentum", "torch.optim.SGD(lr=0.0001, momentum=0.9, dampening=0.9)", 1e-9, None),
    ("adagrad", "torch.optim.SGD(lr=[3.55964e-05, 5.21183e-07])", 1e-9, None),
    ("rmsprop", "torch.optim.RMSprop(lr=0.02, alpha=0.9, eps=0)", 0.03, "C5"),
    ("adam", "torch.optim.Adam(lr=1, betas=(0.7, 0.9), eps=0)", 1e-9, None),
    ("eve", "torch.optim.Adam(lr=1, betas=(0.7, 0.9), eps=0)", 1e-9, None),
    ("adagrad_ann", "torch.optim.SGD(lr=[0.0141605, 0.000241333])", 1e-9, None),
    ("adam_ann", "torch.optim.Adam(lr=0.00390625, betas=(0.9, 0.95), eps=0)", 5e-4, "C6"),
]


@requires_corpus
def test_graddesc() -> None:
    found, refused = replay_all(xl2torch.load(CORPUS / "fastai-2017" / "graddesc.xlsm"))
    assert not refused
    assert [item.descent.sheet for item in found] == [name for name, *_ in GRADDESC]
    for item, (_, code, most, cell) in zip(found, GRADDESC, strict=True):
        assert item.match.code == code and item.largest <= most
        assert (item.first_divergence and item.first_divergence.a1) == cell
    (slip,) = [text for text in found[-1].match.remarks if text.startswith("a slip")]
    assert slip.startswith("a slip: J5 holds =J4*$J$1+$K$1*Intro!F5")


@requires_corpus
def test_the_table_of_the_documentation() -> None:
    """docs/replay.md is made by docs/make_replay.py; rounding may differ by processor."""
    sys.path.insert(0, str(ROOT / "docs"))
    import make_replay

    def all_but_rounding(text: str) -> list[str]:
        return [line.rpartition("|")[0].rpartition("|")[0] for line in text.splitlines()]

    page = make_replay.PAGE.read_text(encoding="utf-8")
    written = page.partition("<!-- table -->\n")[2].partition("<!-- end of table -->")[0]
    assert all_but_rounding(make_replay.table(CORPUS)) == all_but_rounding(written)


# ---------------------------------------------------------------- weights in a column of their own

DATA = "1 3 . .\n2 5 . .\n4 9.5 . .\n-1 -1 . .\n"
"""x and y in A1:B4; the rows below begin in row 5."""


def own(tmp_path: Path, head: str, start: str, row: str, count: int = 12) -> Replay:
    """Rows of cells from C on below the data: ``{r}`` the row, ``{p}`` the row before."""
    lines = [head, start, *(row.format(r=r, p=r - 1) for r in range(7, 7 + count))]
    text = DATA + "\n".join(f". . {line}" for line in lines)
    return replay(grid(tmp_path, text), "S")


LINE = "SUMPRODUCT(($A$1:$A$4*{w}+{b}-$B$1:$B$4)^2)/4"
SLOPES = (
    "SUMPRODUCT(($A$1:$A$4*{w}+{b}-$B$1:$B$4)*$A$1:$A$4)/2",
    "SUMPRODUCT($A$1:$A$4*{w}+{b}-$B$1:$B$4)/2",
)
W, V = "D{p}", "E{p}"
LOSS = "=" + LINE.format(w="D{r}", b="E{r}")
DW, DB = ("=" + text.format(w="D{r}", b="E{r}") for text in SLOPES)

OWN = [
    # columns from C on: headings, first row, rows below, torch's optimizer, weights
    ("gradients in columns", "step w b loss dw db",
     f"0 0.5 -1 {LOSS} {DW} {DB}",
     f"=C{{p}}+1 =D{{p}}-0.05*G{{p}} =E{{p}}-0.05*H{{p}} {LOSS} {DW} {DB}",
     "torch.optim.SGD(lr=0.05)", ["w", "b"]),
    ("gradients in the formulas of the weights", "step w b loss",
     f"0 0.5 -1 {LOSS}",
     f"=C{{p}}+1 =D{{p}}-0.05*{SLOPES[0].format(w=W, b=V)} "
     f"=E{{p}}-0.05*{SLOPES[1].format(w=W, b=V)} {LOSS}", "torch.optim.SGD(lr=0.05)", ["w", "b"]),
    ("a function of one cell", "x f slope", "4 =C{r}^2+EXP(-C{r}) =2*C{r}-EXP(-C{r})",
     "=C{p}-0.1*E{p} =C{r}^2+EXP(-C{r}) =2*C{r}-EXP(-C{r})", "torch.optim.SGD(lr=0.1)", ["x"]),
    ("half of the error", "x f slope", "4 =C{r}^2 =C{r}", "=C{p}-0.1*E{p} =C{r}^2 =C{r}",
     "torch.optim.SGD(lr=0.1)", ["x"]),
    ("uphill", "x f slope", "4 =5-(C{r}-1)^4/9 =-4*(C{r}-1)^3/9",
     "=C{p}+0.1*E{p} =5-(C{r}-1)^4/9 =-4*(C{r}-1)^3/9", "torch.optim.SGD(lr=0.1)", ["x"]),
    ("momentum", "x f slope v", "4 =C{r}^2 =2*C{r} =0.9*F{p}+0.1*E{r}",
     "=C{p}-0.1*F{p} =C{r}^2 =2*C{r} =0.9*F{p}+0.1*E{r}",
     "torch.optim.SGD(lr=0.1, momentum=0.9, dampening=0.9)", ["x"]),
    ("a row of data for each step", "x y w error slope", "1 2 0 =(D{r}-E{r}*C{r})^2 "
     "=-2*(D{r}-E{r}*C{r})*C{r}", "=MOD(C{p},3)+1 =3*C{r}-1 =E{p}-0.02*G{p} =(D{r}-E{r}*C{r})^2 "
     "=-2*(D{r}-E{r}*C{r})*C{r}", "torch.optim.SGD(lr=0.02)", ["w"]),
    ("the next weight beside the error", "x y w error", "1 2 0 .",
     "=MOD(C{p},3)+1 =3*C{r}-1 =E{p}+0.02*2*(D{r}-E{p}*C{r})*C{r} =(D{r}-E{p}*C{r})^2",
     "torch.optim.SGD(lr=0.02)", ["w"]),
]  # fmt: skip


@pytest.mark.parametrize(("head", "start", "row", "code", "weights"), [item[1:] for item in OWN],
                         ids=[item[0] for item in OWN])  # fmt: skip
def test_weights_whose_next_value_stands_below(
    head: str, start: str, row: str, code: str, weights: list[str], tmp_path: Path
) -> None:
    found = own(tmp_path, head, start.format(r=6, p=5) if "F{p}" not in start else
                start.replace("=0.9*F{p}+", "=").format(r=6, p=5), row)  # fmt: skip
    assert found.match.code == code
    assert [weight.name for weight in found.descent.weights] == weights
    assert found.largest <= 1e-11 and found.first_divergence is None


def test_a_slip_in_such_a_column_is_named(tmp_path: Path) -> None:
    lines = ["x f slope", "4 =A2^2 =2*A2"]
    lines += [f"=A{r - 1}-0.1*C{r - 1} =A{r}^2 =2*A{r}" for r in range(3, 15)]
    lines[8] = lines[8].replace("0.1", "0.2")
    found = replay(grid(tmp_path, "\n".join(lines)), "S")
    (slip,) = [text for text in found.match.remarks if text.startswith("a slip")]
    assert slip.startswith("a slip: A9 holds =A8-0.2*C8")
    assert found.first_divergence is not None and found.first_divergence.a1 == "A9"


def test_running_totals_are_no_descent(tmp_path: Path) -> None:
    lines = [f"{r} =B{r - 1}+A{r} =C{r - 1}*1.1-0.3*A{r} =D{r - 1}-1 =2*D{r}" for r in range(2, 12)]
    workbook = grid(tmp_path, "\n".join(["1 1 1 9 18", *lines]))
    with pytest.raises(ModelError, match="holds no descent"):
        replay(workbook, "S")


NONE = [
    # a stock less what is used, beside its worth; smoothing; a balance that bears interest
    ("C use worth", "100 3 =C{r}*D{r}", "=C{p}-D{p} =2+MOD(C{r},5) =C{r}*D{r}"),
    ("smooth y", "5 7", "=C{p}-0.15*(C{p}-D{p}) =4+MOD(ROW(),3)"),
    ("balance interest", "100 =0.01*C{r}", "=C{p}+D{p} =0.01*C{r}"),
]


@pytest.mark.parametrize(("head", "start", "row"), NONE)
def test_what_looks_like_one_and_is_none(head: str, start: str, row: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no descent"):
        own(tmp_path, head, start.format(r=6, p=5), row)


def test_the_function_stays_a_function(tmp_path: Path) -> None:
    lines = ["x f slope", "4 =A2^2 =2*A2"]
    lines += [f"=A{r - 1}-0.1*C{r - 1} =A{r}^2 =2*A{r}" for r in range(3, 15)]
    workbook = grid(tmp_path, "\n".join(lines))
    for _ in range(2):
        assert xl2torch.replay(workbook, "S").match.code == "torch.optim.SGD(lr=0.1)"
