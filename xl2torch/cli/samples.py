"""xl2torch samples."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import click

from xl2torch.cli.printing import print_json, print_table, say
from xl2torch.errors import OutputError, SelectionError
from xl2torch.safety.plain_text import argument, meant

SAMPLES = {
    "line": "a line through two points: the smallest model",
    "quadratic": "a parabola fitted to noisy points, with a chart",
    "two_neurons": "one neuron after another, without and with a ReLU between them",
    "survival": "a small neural network that predicts who survives a shipwreck",
    "moons": "a neural network that tells two crescents of points apart",
    "softmax": "three kinds of flowers, softmax and cross-entropy",
    "embeddings": "who likes which film, from two numbers for each person and film",
    "convolution": "a filter that is learnt from a picture and its edges",
    "dropout": "a curve through few noisy points, with units left out at random",
}
_PACKAGES = Path(__file__).resolve().parents[2]
_SHARED = Path("share", "xl2torch", "samples")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--to", "folder", default=".", help="Folder that they are copied into.",
              type=click.Path(path_type=Path), show_default=True)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite files of these names.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def samples(names: tuple[str, ...], folder: Path, force: bool, as_json: bool) -> None:
    """Copy sample workbooks, or list them where no NAME is given; ``all`` copies all.

    Example: xl2torch samples line survival
    """
    from xl2torch.exports.atomic_write import atomic_write
    from xl2torch.workbook.write.preflight import check_place

    if not names:
        if as_json:
            print_json({"samples": SAMPLES})
        else:
            print_table([list(item) for item in SAMPLES.items()])
        return
    chosen = list(SAMPLES) if "all" in names else [name.removesuffix(".xlsx") for name in names]
    for name in chosen:
        if name not in SAMPLES:
            raise SelectionError(
                f"no sample {name!r}{meant(name, SAMPLES)}; there are {', '.join(SAMPLES)}"
            )
    pairs = [(_source(name), folder / f"{name}.xlsx") for name in chosen]
    for source, target in pairs:
        check_place(target, force, [source])
    for source, target in pairs:
        with atomic_write(target, force, [source]) as partial:
            partial.write_bytes(source.read_bytes())
    written = [target for _, target in pairs]
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    say(f"wrote {', '.join(map(str, written))}")
    say(f"train one: xl2torch train {argument(str(written[0]))}")


def _source(name: str) -> Path:
    """Where a sample lies: in the checkout, or among the files of the installation."""
    try:
        installed = metadata.files("xl2torch") or ()
    except metadata.PackageNotFoundError:
        installed = ()
    places = [_PACKAGES / "workbooks" / f"{name}.xlsx", _PACKAGES / _SHARED / f"{name}.xlsx"]
    places += [Path(str(item.locate())) for item in installed if item.name == f"{name}.xlsx"]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise OutputError("this installation has no sample workbooks: install xl2torch's wheel")
    return found
