"""The Solver model written into the workbook as Solver's own hidden names.

Excel's Solver dialog then opens with it. Names, codes and defaults are those that Excel 2010 and
later write; options that the sheet stores already are kept.
"""

from __future__ import annotations

from xl2torch.cells.address import CellRange, quote_sheet, single_cell
from xl2torch.errors import SelectionError
from xl2torch.formula.ast import Call, Node, Reference, children
from xl2torch.formula.parser import parse
from xl2torch.formula.relocation import NotRelocatable, relocated
from xl2torch.model.problem import WORDS, Constraint, Problem, model_state
from xl2torch.workbook.ooxml import number_text
from xl2torch.workbook.package import Changes
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.remembered import Options
from xl2torch.workbook.read.solver_model import DEFAULTS, RELATIONS, SENSES, solver_models
from xl2torch.workbook.write.remember import remember
from xl2torch.workbook.write.workbook_part import replace_names

MOST_VARIABLES = 200
"""Variable cells that Excel's Solver takes."""
_CODES = {relation: code for code, relation in RELATIONS.items()}


def is_stored(workbook: Workbook, problem: Problem) -> bool:
    """Whether the problem's sheet has a Solver model, which is the user's own, or the workbook
    remembers just this problem."""
    if any(model.sheet == problem.sheet for model in solver_models(workbook)):
        return True
    known = workbook.remembered
    return all(known.get(name) == texts for name, texts in model_options(workbook, problem).items())


def keep_model(
    workbook: Workbook, problem: Problem, changes: Changes, options: Options, forced: bool
) -> str:
    """Store a model for Excel's Solver; what Solver cannot hold goes with the ``options``.

    Returns why Solver cannot hold it; '' where it can. Raises SelectionError where it cannot and
    that was ``forced``.
    """
    try:
        store_solver_model(workbook, problem, changes)
        own: Options = {}
        why = ""
    except SelectionError as error:
        if forced:
            raise
        own, why = model_options(workbook, problem), str(error)
    if own or options:
        remember({**options, **own}, changes)
    return why


def model_options(workbook: Workbook, problem: Problem) -> Options:
    """A problem as options of a command line."""
    goal = f"value={problem.target!r}" if problem.sense == "value" else problem.sense
    found = {
        "objective": () if problem.is_system else (str(problem.objective),),
        "variables": tuple(map(str, problem.variables)),
        "sense": () if problem.is_system else (goal,),
        "constraint": tuple(item.as_option() for item in problem.constraints),
        "non-negative": ("yes",) if problem.non_negative else (),
        "state": (model_state(workbook, problem.objective, problem.variables),),
    }
    return {name: texts for name, texts in found.items() if texts}


def store_solver_model(workbook: Workbook, problem: Problem, changes: Changes) -> None:
    """Replace the Solver model of the problem's sheet. Raises SelectionError."""
    names = solver_model_names(workbook, problem)
    index = workbook.sheet_order.index(problem.sheet)
    replace_names(index, "solver_", {f"solver_{key}": names[key] for key in sorted(names)}, changes)


def solver_model_names(workbook: Workbook, problem: Problem) -> dict[str, str]:
    """Texts of the names, without ``solver_``.

    Raises SelectionError where Solver cannot hold the model: cells on several sheets, a formula
    whose references are not absolute cells.
    """
    sheets = {area.sheet for area in problem.variables} | {problem.objective.sheet}
    sheets |= {item.left.sheet for item in problem.constraints}
    if sheets != {problem.sheet}:
        raise SelectionError(
            "Excel's Solver wants objective, variable cells and constraints on one sheet, these "
            f"are on {', '.join(sorted(sheets | {problem.sheet}))}"
        )
    own = {name for name in DEFAULTS if name not in ("opt", "adj", "typ", "val", "num", "neg")}
    names = dict(DEFAULTS) | {key: text for key, text in problem.options.items() if key in own}
    codes = {sense: code for code, sense in SENSES.items()}
    names |= {
        "opt": "" if problem.is_system else _absolute(single_cell(problem.objective)),
        "adj": ",".join(_absolute(area) for area in problem.variables),
        "typ": codes.get(problem.sense, DEFAULTS["typ"]),
        "val": number_text(problem.target),
        "neg": "1" if problem.non_negative else "2",
        "num": str(len(problem.constraints)),
    }
    for number, item in enumerate(problem.constraints, 1):
        names |= {
            f"lhs{number}": _absolute(item.left),
            f"rel{number}": _CODES[item.relation],
            f"rhs{number}": _right(workbook, problem.sheet, item),
        }
    return names


def _absolute(area: CellRange) -> str:
    return f"{quote_sheet(area.sheet)}!{area.absolute(area.sheet)}"


def _has_range(node: Node) -> bool:
    """Whether a formula is an array because a range stands in it, in no function."""
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, Reference) and (item.top != item.bottom or item.left != item.right):
            return True
        stack += () if isinstance(item, Call) else children(item)
    return False


def _right(workbook: Workbook, sheet: str, item: Constraint) -> str:
    if item.relation in WORDS:
        return f'"{WORDS[item.relation]}"'
    if isinstance(item.right, float):
        return number_text(item.right)
    if isinstance(item.right, CellRange):
        return _absolute(item.right)
    if item.left.size > 1 and _has_range(parse(item.right, item.left.first, workbook)):
        raise SelectionError(
            f"the right side ={item.right} has a value for each of the cells {item.left}: a Solver "
            "model holds one for all. Put the limits into cells"
        )
    try:
        return relocated(item.right, sheet, workbook, _absolute)
    except NotRelocatable as reason:
        raise SelectionError(
            f"the right side ={item.right} cannot be stored in a Solver model: {reason}"
        ) from None
