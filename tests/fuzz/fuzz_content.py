"""Mutations of names, texts and formulas: what a workbook says, in XML that is well-formed."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random
from xml.sax.saxutils import unescape

from fuzz_books import Case, xml_escaped

import xl2torch.excel  # noqa: F401  (registers them all)
from xl2torch.excel.registry import FUNCTIONS

WORDS = (
    "", " ", "'", "''", '"', '"""', "'''", "`", "```", "\\", "\\N{x}", "a\nb", "a\r\nb", "\t", "$",
    "$A$1", "_xlfn.SUM", "_xlpm.x", "<b>", "</t>", "&amp;", "]]>", "[red]x[/red]", "{x}", "{0}",
    "%s", "None", "WORKBOOK", "True", "self", "torch", "class", "lambda", "import", "def", "math",
    "forward", "model", "__init__", "print", "\x1b[31mred", "\x1b]0;x\x07", "\x9b31m", "\x00",
    "\x7f", "\x85", "=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "😀", "é", "e\u0301",
    "\u202eevil", "\u200f", "\u2028", "\ud800", "\ufeff", "\ufffe", "x" * 255, "é" * 255, "A1",
    "R1C1", "XFD1048576", "1", "1.5", "#REF!", "Model!A1", "[1]Model", "a:b", "a/b", "a?b*", "!",
    "a,b", "a;b", "(a)", "#", "# comment", "a # b", "'); import os; ('", "\"\"\"\nimport os\n",
    "TRUE", "_x0041_", "_x001B_[31m", "C", "R", "con", "../x", "\u0130", "ß", "ﬁ", "𝒙", "١",
)  # fmt: skip
"""Names and texts that are code, markup, references, orders to a terminal, or hard to see."""

_FORMULA = re.compile(r"(<f\b[^>]*>)([^<]*)(</f>)")


def argument(text: str) -> str:
    """A text as a command line can hold it."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _texts(case: Case, kind: str) -> list[tuple[int, str]]:
    return [
        (index, data.decode("utf-8", "replace"))
        for index, (name, data) in enumerate(case.parts)
        if kind in name and data
    ]


def _everywhere(case: Case, pattern: str, new: str) -> Case:
    """The texts of workbook, sheets and tables with a pattern replaced."""
    for index, (name, data) in enumerate(case.parts):
        if name.startswith("xl/") and "_rels" not in name and "theme" not in name:
            text = data.decode("utf-8", "replace")
            changed = re.sub(pattern, lambda match: new, text).encode("utf-8", "surrogatepass")
            case = case.with_part(index, changed)
    return case


# ---------------------------------------------------------------- names and texts


def _name_sheet(random: Random, case: Case) -> Case:
    word = random.choice(WORDS)
    quoted = "'" + word.replace("'", "''") + "'"
    case = _everywhere(case, r"(?<![\w'])Model!", xml_escaped(quoted) + "!")
    case = _everywhere(case, r'(?<=<sheet name=")Model(?=")', xml_escaped(word))
    return case.noted(f"sheet Model is {word[:40]!r}")


def _name_a_name(random: Random, case: Case) -> Case:
    word = random.choice(WORDS)
    old = random.choice(["slope", "intercept", "errors", "Scale", "Half", "Fit"])
    typed = argument(word)
    options = tuple(re.sub(rf"\b{old}\b", lambda match: typed, text) for text in case.model)
    case = _everywhere(case, rf"\b{old}\b", xml_escaped(word))
    return replace(case, model=options).noted(f"name {old} is {word[:40]!r}")


def _add_name(random: Random, case: Case) -> Case:
    name = random.choice([
        *WORDS, "slope", "x", "solver_opt", "solver_adj", "solver_lhs1", "solver_rhs1",
        "solver_num", "solver_rel1", "solver_typ", "solver_itr", "solver_val", "solver_tim",
        "solver_msl", "_xlnm.Print_Area",
    ])  # fmt: skip
    text = random.choice([
        *WORDS, "Model!$B$1", "Model!$B$1:$B$2", "nowhere!$A$1", "#REF!", "1e400", "-1", "slope",
        "99999999999", "OFFSET(Model!$A$1,1E9,0)", "Model!$B:$B", "Model!$B$1 Model!$B$2",
        "_xlfn.LAMBDA(_xlpm.n,slope(_xlpm.n))", "(Model!$B$1,Model!$B$2)", "{1,2;3}",
        "Model!$1:$1048576",
    ])  # fmt: skip
    scope = random.choice(["", ' localSheetId="0"', ' localSheetId="9"', ' hidden="1"'])
    made = f'<definedName name="{xml_escaped(name)}"{scope}>{xml_escaped(text)}</definedName>'
    case = _everywhere(case, r"<definedNames ?/>", "<definedNames></definedNames>")
    return _everywhere(case, r"</definedNames>", made + "</definedNames>").noted(
        f"new name {name[:40]!r} of {text[:40]!r}{scope}"
    )


def _label(random: Random, case: Case) -> Case:
    word = random.choice(WORDS)
    found = [
        (index, text, match)
        for index, text in (*_texts(case, "sheets/sheet"), *_texts(case, "sharedStrings"))
        for match in re.finditer(r"<t\b[^>]*>([^<]*)</t>", text)
    ]
    if not found:
        return case
    index, text, match = random.choice(found)
    changed = text[: match.start(1)] + xml_escaped(word) + text[match.end(1) :]
    return case.with_part(index, changed.encode("utf-8", "surrogatepass")).noted(
        f"text {match[1]!r} is {word[:40]!r}"
    )


def _column(random: Random, case: Case) -> Case:
    """A column of the table, with the heading's text, or without it."""
    word = random.choice(WORDS)
    old = random.choice(["x", "y", "error", "predicted", "kind", "p"])
    case = _everywhere(case, rf'(?<=tableColumn)( id="\d+") name="{old}"',
                       f' id="{random.randint(1, 3)}" name="{xml_escaped(word)}"')  # fmt: skip
    if random.random() < 0.7:
        case = _everywhere(case, rf"(?<=<t>){old}(?=</t>)", xml_escaped(word))
        quoted = re.sub(r"([\[\]#'@])", r"'\1", word)
        case = _everywhere(case, rf"\[{old}\]", f"[{xml_escaped(quoted)}]")
    return case.noted(f"column {old} is {word[:40]!r}")


def _number_format(random: Random, case: Case) -> Case:
    word = random.choice([*WORDS, "0.00", "0" * 300, "#,##0;[Red]-0", ";;;", '"', "\\", "[h]:mm"])
    made = f'<numFmts count="1"><numFmt numFmtId="164" formatCode="{xml_escaped(word)}"/></numFmts>'
    case = _everywhere(case, r'<numFmts count="0" ?/>', made)
    return _everywhere(case, r'numFmtId="0"', 'numFmtId="164"').noted(f"format {word[:40]!r}")


_NAMERS = (_name_sheet, _name_sheet, _name_a_name, _add_name, _label, _label, _column,
           _number_format)  # fmt: skip


def spoil_names(random: Random, case: Case) -> Case:
    """One name, text or number format that is hostile."""
    return random.choice(_NAMERS)(random, case)


# ---------------------------------------------------------------- formulas

_OPERATORS = ("+", "-", "*", "/", "^", "&", "=", "<>", "<", ">", "<=", ">=", " ", ",", ":")
_ATOMS = (
    "1", "0", "-1", "2.5", "1E6", "1E-300", "1E308", "1E400", "32768", "1048577", "TRUE", "FALSE",
    '"x"', '""', '"*"', '"~?"', '">0"', '"<>"', '"1e400"', '"A1"', '"2020-02-30"', "#N/A",
    "#DIV/0!", "#REF!", "#NUM!", "B1", "$B$2", "B1:B2", "A6:A13", "$A$6:$C$13", "C6", "C6:C13",
    "A:A", "B:C", "1:1", "6:13", "1:1048576", "A1:XFD1048576", "Z99", "Z90:Z99", "{1,2;3,4}",
    '{1,"a",#N/A}', "{1}", "Model!B1", "Model!A6:A13", "'My Data'!A1",
    "nowhere!A1", "[1]Model!A1", "M:N!A1", "slope", "errors", "nothing", "Fit[x]",
    "Fit[#All]", "Fit[[#This Row],[y]]", "Fit[@x]",
    "Fit[[x]:[y]]", "_xlfn.ANCHORARRAY(C6)", "@A6:A13", "(B1,B2)", "(A6:B8 B7:C9)", "B1%",
)  # fmt: skip
_HUGE = (
    "SEQUENCE(1E6,1E6)", "SEQUENCE(1E5,1E3)", "MAKEARRAY(1E5,1E5,LAMBDA(r,c,r*c))",
    "MAKEARRAY(500,500,LAMBDA(r,c,r*c+B1))", "MUNIT(1E5)", "MUNIT(3000)", 'REPT("x",1E9)',
    'LEN(REPT(REPT("x",32767),32767))', "EXPAND(A1,1E6,1E4,0)", "RANDARRAY(1E5,1E5)", "FACT(1E9)",
    "COMBIN(1E9,5E8)", "BINOM.DIST(5E8,1E9,0.5,TRUE)", "POISSON.DIST(1E9,1E9,TRUE)",
    "NETWORKDAYS(1,1E9)", "WORKDAY(1,1E9)", "EDATE(1,1E9)", "DATE(1E9,1E9,1E9)", "ROMAN(1E9)",
    "MMULT(A:A,1:1)", "TRANSPOSE(A:XFD)", "SUM(A1:XFD1048576)*B1", "SUMPRODUCT(A:Z*B:B)",
    "INDIRECT(\"A1:XFD1048576\")", "OFFSET(A1,0,0,1E6,1E4)", "OFFSET(B1,-5,0)", "HSTACK(A:A,A:A)",
    "TOCOL(A1:Z99999)", "WRAPROWS(SEQUENCE(1E5),1)", "TEXTJOIN(\",\",FALSE,A1:A99999)",
    "SUBSTITUTE(REPT(\"a\",32767),\"a\",REPT(\"b\",32767))", "MID(\"x\",1E9,1E9)", "1E308*1E308",
    "COUNTIF(A:A,\"*\")", "LARGE(A:A,1E9)", "IRR(A:A)", "XIRR(A6:A13,B6:B13)", "RATE(1E9,1,1)",
    "LET(f,LAMBDA(g,n,g(g,n+1)),f(f,1))", "REDUCE(0,SEQUENCE(1E5),LAMBDA(a,b,a+b*B1))",
    "SCAN(0,SEQUENCE(1E4),LAMBDA(a,b,a+b*B1))", "MAP(SEQUENCE(1E5),LAMBDA(x,x*B1))",
    "BYROW(A:A,LAMBDA(r,SUM(r)))", "SORTBY(A:A,B:B)", "XLOOKUP(B1,A:A,B:B)", "UNIQUE(A1:C99999)",
    "CONVERT(1,\"m\",\"s\")", "BASE(1E15,2,255)", "GCD(A1:C20)", "LCM(A6:A13,1E15)",
    "MULTINOMIAL(SEQUENCE(500))", "SERIESSUM(B1,0,1,SEQUENCE(1E4))", "FREQUENCY(A:A,B:B)",
    "TEXT(B1,REPT(\"0\",9999))", "DEC2BIN(1E9)", "PERCENTILE(A6:A13,2)", "LINEST(A6:A13,B6:C13)",
    "MINVERSE(MUNIT(500))", "MDETERM(SEQUENCE(40,40))", "CHOOSE(1E9,1)", "INDEX(A:A,1E9)",
    "NPV(B1,SEQUENCE(1E5))", "BETA.INV(0.5,1E9,1E-9)", "GAMMA.INV(1,1E9,1E9)", "T.INV(1E-300,1E9)",
)  # fmt: skip


_TIDY = ("1", "2", "0.5", "3", "B1", "$B$2", "B1:B2", "A6:A13", "B6:B13", "A6", "B6", "TRUE",
         "{1,2;3,4}", "A6:B13", '">1"', '"x"')  # fmt: skip


def expression(random: Random, depth: int, odd: float = 1.0) -> str:
    """A formula's text without its equal sign; the less ``odd`` the more likely it has a value."""
    chance = random.random()
    if depth <= 0 or chance < 0.15:
        return random.choice(_ATOMS if random.random() < odd else _TIDY)
    if chance < 0.15 + 0.05 * odd:
        return random.choice(_HUGE)
    if chance < 0.35:
        operator = random.choice(_OPERATORS if random.random() < odd else _OPERATORS[:5])
        return f"{expression(random, depth - 1, odd)}{operator}{expression(random, depth - 1, odd)}"
    if chance < 0.40:
        inner = expression(random, depth - 1, odd)
        return random.choice([f"({inner})", f"-{inner}", f"({inner})%", f"+{inner}", f"@{inner}"])
    if chance < 0.45:
        one, two = expression(random, depth - 1, odd), expression(random, depth - 1, odd)
        return random.choice([
            f"LET(a,{one},b,{two},a+b)", f"LAMBDA(a,[b],a*{one})({two})", f"LET(a,{one},a,{two},a)",
            f"MAP(A6:A9,LAMBDA(a,a+{one}))", f"REDUCE({one},A6:A9,LAMBDA(a,b,a+b*{two}))",
            f"IF({one},{two},)", f"IFERROR({one},{two})", f"BYROW({one},LAMBDA(r,SUM(r)))",
            f"MAKEARRAY(3,2,LAMBDA(r,c,r*c+{one}))", f"SCAN({one},A6:A9,LAMBDA(a,b,a*b))",
            f"LAMBDA({one})", f"LET({one},{two})",
        ])  # fmt: skip
    return _call(random, depth, odd)


def _call(random: Random, depth: int, odd: float) -> str:
    function = FUNCTIONS[random.choice(sorted(FUNCTIONS))]
    least = len(function.arguments)
    most = least + len(function.optional) + (3 if function.repeats else 0)
    count = random.randint(least, most)
    if random.random() < 0.15 * odd:
        count += random.choice([-1, 1])
    arguments = [
        "" if random.random() < 0.04 * odd else expression(random, depth - 1, odd)
        for _ in range(count)
    ]
    return f"{function.name}({','.join(arguments)})"


def _long(random: Random) -> str:
    """Deep, long, or with very many arguments."""
    term = random.choice(["B1", "1", "A6", "SIN(B1)", '"x"', "-B1"])
    count = random.choice([64, 300, 3000])
    return random.choice([
        "(" * count + term + ")" * count, "-" * count + term, term + "%" * count,
        "+".join([term] * count), "^".join([term] * count), "&".join([term] * count),
        f"SUM({','.join([term] * count)})", "ABS(" * count + term + ")" * count,
        f"IF(B1>0,{term}," * count + "0" + ")" * count, "<".join([term] * count),
        f"CHOOSE(2,{','.join([term] * count)})", "{" + ",".join(["1"] * count) + "}",
    ])  # fmt: skip


def _broken(random: Random, text: str) -> str:
    """The text of a formula that is none any more, or another one."""
    place = random.randrange(len(text) + 1)
    return random.choice([
        text[:place], text[place:], text[:place] + random.choice("()\"'{}[]!:,;@#%&^<>=\\`~?* ")
        + text[place:], text[:place] + text[place + 1 :], text + ")", "(" + text, "=" + text, "",
        text.replace(",", ";"), text.replace(",", ",,"), text.replace("(", "((", 1), text + "\x00",
        text[:place] + random.choice(WORDS) + text[place:], text.swapcase(), "  " + text + "\n ",
    ])  # fmt: skip


def spoil_formulas(random: Random, case: Case) -> Case:
    """One formula replaced, broken, or with more added to it that the objective then needs."""
    found = [
        (index, text, match)
        for index, text in _texts(case, "sheets/sheet")
        for match in _FORMULA.finditer(text)
    ]
    if not found:
        return case
    index, text, match = random.choice([*found, *found[:1] * 3])
    old = unescape(match[2])
    action = random.choice(["new", *["add"] * 5, "times", "array", "long", "huge", "broken"])
    odd = random.choice([0.0, 0.0, 0.05, 0.3, 1.0])
    if action == "broken":
        new = _broken(random, old)
    elif action == "long":
        new = f"{old}+{_long(random)}"
    elif action == "huge":
        new = f"{old}+{random.choice(_HUGE)}"
    elif action == "new":
        new = expression(random, random.randint(1, 4), odd)
    else:
        added = f"SUM(IFERROR({expression(random, random.randint(1, 4), odd)},0))"
        new = f"{old}{'*' if action == 'times' else '+'}{added}"
    head = match[1]
    if action == "array" and "t=" not in head:
        head = random.choice(['<f t="array" ref="B3">', '<f t="array" ref="J6:K9">'])
    changed = text[: match.start()] + head + xml_escaped(new) + match[3] + text[match.end() :]
    return case.with_part(index, changed.encode("utf-8", "surrogatepass")).noted(
        f"formula {old[:30]!r} is {new[:200]!r}"
    )
