"""From a thousand rows to Excel's last: reading, compiling, training steps, writing back.

    python benchmarks/scale.py [--rows 1000,10000,100000,1048575] [--json]

Each size runs in a process of its own, for its peak memory. The workbook has ten features, two ReLU
units, a prediction and a squared error per row, as Excel writes them (shared formulas, cached
values). The step (forward, backward, fused Adam) stands beside hand-written torch, in one run.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import xl2torch

FEATURES = 10
SIZES = (1_000, 10_000, 100_000, 1_048_575)
STEPS = 10
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def write_book(path: Path, rows: int) -> None:
    """Features A:J, target K, units L:M, prediction N, error O on sheet Data; weights on Model."""
    generator = np.random.default_rng(1)
    x = generator.standard_normal((rows, FEATURES)).round(6)
    y = np.maximum(0, x @ generator.standard_normal(FEATURES)).round(6)
    weights = (0.3 * generator.standard_normal((2, FEATURES + 1))).round(6)
    output = (0.3 * generator.standard_normal(3)).round(6)
    units = np.maximum(0, x @ weights[:, :-1].T + weights[:, -1])
    predicted = units @ output[:2] + output[2]
    errors = (predicted - y) ** 2
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        package.writestr("[Content_Types].xml", _content_types())
        package.writestr("_rels/.rels", _relations(("officeDocument", "xl/workbook.xml")))
        package.writestr("xl/workbook.xml", _workbook_xml())
        package.writestr(
            "xl/_rels/workbook.xml.rels",
            _relations(
                ("worksheet", "worksheets/sheet1.xml"), ("worksheet", "worksheets/sheet2.xml")
            ),
        )
        package.writestr(
            "xl/worksheets/sheet2.xml", _model_xml(weights, output, float(errors.mean()), rows)
        )
        with package.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            part.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            names = [*(f"x{i}" for i in range(1, FEATURES + 1)), "y", "h1", "h2", "p", "error"]
            part.write(b'<row r="1">' + b"".join(
                f'<c r="{chr(65 + i)}1" t="inlineStr"><is><t>{name}</t></is></c>'.encode()
                for i, name in enumerate(names)
            ) + b"</row>")  # fmt: skip
            last = rows + 1
            formulas = (
                ("L", "MAX(0,SUMPRODUCT($A2:$J2,Model!$A$2:$J$2)+Model!$K$2)"),
                ("M", "MAX(0,SUMPRODUCT($A2:$J2,Model!$A$3:$J$3)+Model!$K$3)"),
                ("N", "SUMPRODUCT(L2:M2,Model!$A$5:$B$5)+Model!$C$5"),
                ("O", "(N2-K2)^2"),
            )
            table = np.column_stack([x, y, units, predicted, errors])
            for start in range(0, rows, 50_000):
                lines = []
                for offset, values in enumerate(table[start : start + 50_000].tolist()):
                    row = start + offset + 2
                    cells = [
                        f'<c r="{chr(65 + i)}{row}"><v>{value!r}</v></c>'
                        for i, value in enumerate(values[: FEATURES + 1])
                    ]
                    for number, (column, text) in enumerate(formulas):
                        shared = (
                            f'<f t="shared" ref="{column}2:{column}{last}" si="{number}">{text}</f>'
                            if row == 2
                            else f'<f t="shared" si="{number}"/>'
                        )
                        value = values[FEATURES + 1 + number]
                        cells.append(f'<c r="{column}{row}">{shared}<v>{value!r}</v></c>')
                    lines.append(f'<row r="{row}">{"".join(cells)}</row>')
                part.write("".join(lines).encode())
            part.write(b"</sheetData></worksheet>")


def _content_types() -> str:
    sheets = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        for n in (1, 2)
    )
    return (
        f'{_HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f"{sheets}</Types>"
    )


def _relations(*targets: tuple[str, str]) -> str:
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return (
        f'{_HEAD}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        f'relationships">{links}</Relationships>'
    )


def _workbook_xml() -> str:
    names = {
        "solver_adj": "Model!$A$2:$K$3,Model!$A$5:$C$5", "solver_neg": "2", "solver_num": "0",
        "solver_opt": "Model!$B$7", "solver_typ": "2",
    }  # fmt: skip
    defined = "".join(
        f'<definedName name="{name}" localSheetId="1" hidden="1">{text}</definedName>'
        for name, text in names.items()
    )
    return (
        f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Data" sheetId="1" r:id="rId1"/><sheet name="Model" sheetId="2" r:id="rId2"/>'
        f"</sheets><definedNames>{defined}</definedNames></workbook>"
    )


def _model_xml(weights: np.ndarray, output: np.ndarray, loss: float, rows: int) -> str:
    lines = []
    for row, values in ((2, weights[0]), (3, weights[1]), (5, output)):
        cells = "".join(
            f'<c r="{chr(65 + i)}{row}"><v>{value!r}</v></c>'
            for i, value in enumerate(values.tolist())
        )
        lines.append(f'<row r="{row}">{cells}</row>')
    lines.append(
        f'<row r="7"><c r="B7"><f>AVERAGE(Data!O2:O{rows + 1})</f><v>{loss!r}</v></c></row>'
    )
    return f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


class ByHand(nn.Module):
    """The same network, written by hand."""

    x: Tensor
    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, hidden: Tensor, output: Tensor) -> None:
        super().__init__()
        self.hidden, self.output = nn.Parameter(hidden.clone()), nn.Parameter(output.clone())
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def forward(self) -> Tensor:
        """Loss."""
        units = torch.relu(nn.functional.linear(self.x, self.hidden[:, :-1], self.hidden[:, -1]))
        predicted = units @ self.output[:2] + self.output[2]
        return nn.functional.mse_loss(predicted, self.y)


def measure(rows: int) -> dict[str, float]:
    """Times and peak memory of one size, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scale.xlsx"
        subprocess.run([sys.executable, __file__, "--write", str(path), str(rows)], check=True)
        with zipfile.ZipFile(path) as package:
            xml = sum(item.file_size for item in package.infolist())
        began = time.perf_counter()
        workbook = xl2torch.load(path)
        read = time.perf_counter() - began
        began = time.perf_counter()
        model = xl2torch.compile(workbook)
        compiled = time.perf_counter() - began
        ratio, micros = _steps(model)
        began = time.perf_counter()
        result = xl2torch.fit(model, "adam", init="file", epochs=STEPS)
        trained = time.perf_counter() - began
        began = time.perf_counter()
        xl2torch.save(result, Path(folder) / "trained.xlsx")
        saved = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    cells = rows * (FEATURES + 5)
    return {
        "rows": rows, "xml_mb": xml / 1e6, "read_s": read, "cells_per_s": cells / read,
        "compile_s": compiled, "step_ratio": ratio, "by_hand_us": micros, "fit_10_s": trained,
        "save_s": saved, "peak_gb": peak,
    }  # fmt: skip


def _steps(model: xl2torch.SheetModel) -> tuple[float, float]:
    """Median ratio of a step to the hand-written one, and that one's time in µs."""
    buffers = sorted((b for _, b in model.named_buffers()), key=lambda b: b.dim())
    y, x = buffers
    hidden, output = (model.parameter(variable).detach() for variable in model.variables)
    hand = ByHand(x, y, hidden, output)
    torch.testing.assert_close(hand(), model(), rtol=1e-12, atol=0)
    steps = []
    for module in (model, hand):
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-6, fused=True)

        def step(module: nn.Module = module, optimizer: torch.optim.Adam = optimizer) -> None:
            optimizer.zero_grad()
            module().backward()
            optimizer.step()

        step()
        steps.append(step)
    ratios, times = [], []
    for _ in range(21):
        first, second = (_timed(step) for step in steps)
        ratios.append(first / second)
        times.append(second * 1e6)
    for module in (model, hand):
        module.zero_grad()
    return statistics.median(ratios), statistics.median(times)


def _timed(step: object) -> float:
    assert callable(step)
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def main() -> None:
    """Measure all sizes and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(map(str, SIZES)))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_book(Path(options.write[0]), int(options.write[1]))
        return
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    results = []
    for rows in options.rows.split(","):
        done = subprocess.run(
            [sys.executable, __file__, "--one", rows], check=True, capture_output=True, text=True
        )
        results.append(json.loads(done.stdout))
    if options.json:
        print(json.dumps({"results": results}, indent=2))
        return
    print("| rows | XML MB | read s | cells/s | compile s | step / by hand | fit 10 s | save s "
          "| peak GB |")  # fmt: skip
    print("| --- " * 9 + "|")
    for row in results:
        print(
            f"| {row['rows']:,} | {row['xml_mb']:,.0f} | {row['read_s']:.2f} "
            f"| {row['cells_per_s']:,.0f} | {row['compile_s']:.2f} | {row['step_ratio']:.2f} "
            f"| {row['fit_10_s']:.2f} | {row['save_s']:.2f} | {row['peak_gb']:.2f} |"
        )


if __name__ == "__main__":
    main()
