"""The numbers in the text of the contract are those of the C core, polynomial by polynomial."""

import re

import pytest
from checkkernels import ROOT

#: A hexadecimal float of five digits or more, which is no power of 2 and no other exact step.
FLOAT = re.compile(r"-?0x[01]\.[0-9a-f]{5,}p[+-]?\d+")
INTEGER = re.compile(r"0x[0-9a-f]{8,}", re.IGNORECASE)


def section(page, heading):
    """The text of a section, and of those below it."""
    text = (ROOT / "docs" / page).read_text()
    start = re.search(rf"(?m)^(#+) {re.escape(heading)}$", text)
    end = re.search(rf"(?m)^#{{1,{len(start[1])}}} ", text[start.end() :])
    return text[start.end() :][: end and end.start()]


def columns(text):
    """The columns of the section's table by their names, lowest power or index first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    found = {name: {} for name in head[1:]}
    for power, *cells in rows:
        for name, cell in zip(head[1:], cells, strict=True):
            if cell:
                found[name][int(power)] = float.fromhex(cell)
    return {name: [by[i] for i in range(len(by))] for name, by in found.items()}


def body(file, name):
    """The C function's text, up to the brace in the first column."""
    text = (ROOT / "src_c" / file).read_text()
    start = re.search(rf"(?m)^(?:INLINE|static|enum) [^;\n]*\b{name}\(", text)
    return text[start.start() :].partition("\n}")[0]


def numbers(text):
    """The hexadecimal floats of a text that are no short ones, in order."""
    return [float.fromhex(each) for each in FLOAT.findall(text.lower())]


def statement(text, start, end=";"):
    """What follows `start` up to `end`."""
    return text.partition(start)[2].partition(end)[0]


def test_ln_sine_and_cosine_of_float32():
    table = columns(section("stream.md", "The float32 pair"))
    ln, polar = body("vmath.inc.h", "minus_two_ln_split"), body("vmath.inc.h", "polar_f32")
    assert numbers(statement(ln, "even =")) == table["l"][6::-2]
    assert numbers(statement(ln, "odd =")) == table["l"][7::-2]
    assert numbers(statement(polar, "float s =")) == table["s"][::-1]
    assert [*numbers(statement(polar, "float c =")), 1.0] == table["c"][::-1]
    [ln_2] = numbers(statement(section("stream.md", "The float32 pair"), "fma(fl(k), ", ","))
    assert numbers(statement(ln, "return")) == [ln_2 * 2.0**-23]  # of k 2^23


def test_ln_sine_and_cosine_of_float64():
    text = section("stream.md", "The float64 pair")
    table = columns(text)
    ln, polar = body("vmath.inc.h", "ln_f64"), body("vmath.inc.h", "polar_f64")
    assert numbers(ln.partition("double even")[2].partition("double odd")[0]) == table["l"][6::-2]
    assert numbers(statement(ln, "double odd")) == table["l"][5::-2]
    assert numbers(ln.partition("double low")[2]) == numbers(
        text.partition("t = fma")[2].partition("`r =")[0]
    )
    sine, cosine = polar.partition("double s =")[::2]
    assert numbers(sine.partition("double odd")[0]) == table["s"][6::-2]
    assert numbers(sine.partition("double odd")[2]) == table["s"][5::-2]
    assert [*numbers(cosine.partition("odd =")[0]), 1.0] == table["c"][6::-2]
    assert numbers(cosine.partition("odd =")[2]) == table["c"][7::-2]


def test_truncated_normals_of_float32():
    text = section("truncated_normal.md", "float32: f16, bf16 and f32")
    table = columns(text)
    assert numbers(body("values.inc.h", "tail_f32")) == table["t"]
    [start] = numbers(statement(text, "y = v - ", "\n"))
    assert numbers(body("values.inc.h", "centre_f32")) == [start, *table["c"]]


def test_truncated_normals_of_float64():
    text = section("truncated_normal.md", "float64")
    table = columns(text)
    [start] = numbers(statement(text, "y = v - ", "\n"))
    assert numbers(body("values.inc.h", "centres_f64")) == [start, *table["c"]]
    assert numbers(body("values.inc.h", "tail_f64")) == table["g"]
    excess = body("values.inc.h", "hazard_excess")
    below = table["b"][1:]
    assert table["b"][0] == 1.0
    assert numbers(excess) == [table["e"][0], below[0], *table["e"][1:], *below[1:]]
    [shift] = numbers(statement(text, "w = -ln(q) - ", "\n"))
    header = (ROOT / "src_c" / "truncated.h").read_text()
    assert numbers(statement(header, "#define LN_SQRT_HALF_PI", "\n")) == [shift]


def test_the_limits_of_the_truncated_normals_formulas():
    text, header = (
        section("truncated_normal.md", "Which formula"),
        (ROOT / "src_c" / "truncated.h").read_text(),
    )
    define = dict(re.findall(r"#define (\w+) ([\w.+-]+)", header))
    assert f"`{define['TAIL_Q']}`" in text.replace("q < ", "`")
    assert re.findall(r"`high <= (\d+)`", text) == [define["CENTRE_END"].removesuffix(".0")]
    assert re.findall(r"`low >= (\d+)`", text) == [define["FAR_START"].removesuffix(".0")]
    bounds = section("truncated_normal.md", "The bounds")
    assert f"at most 2^{re.fullmatch('0x1p(.*)', define['POINT_START'])[1]}" in bounds


def test_the_bounds_of_truncated_normals():
    text = section("truncated_normal.md", "The bounds")
    code = body("bounds.inc.h", "exp_minus") + body("bounds.inc.h", "densities")
    assert numbers(code) == numbers(text)


@pytest.mark.parametrize(("dtype", "function"), [("float32", "reduce_f32"), ("float64", "reduce_f64")])
def test_the_exponential_of_the_activations(dtype, function):
    text = section("activations.md", "How they are computed")
    float32, float64 = text.split("In float64")
    constants = numbers(float32 if dtype == "float32" else float64)
    assert sorted(constants) == sorted(numbers(body("activations.inc.h", function)))
    assert len(constants) == {"float32": 8, "float64": 13}[dtype]


def test_generators():
    code = (ROOT / "src_c" / "pcg64.h").read_text()
    high, low = re.search(r"#define FI_MULTIPLIER FI_U128\((\d+)u, (\d+)u\)", code).groups()
    cheap = re.search(r"#define FI_CHEAP_MULTIPLIER \(\(fi_u128\)(\w+)u\)", code)[1]
    text = {int(each, 16) for each in INTEGER.findall(section("stream.md", "Generators"))}
    assert text == {int(high) << 64 | int(low), int(cheap, 16)}


def test_seeds():
    code, text = (ROOT / "src_c" / "seed_sequence.h").read_text(), section("stream.md", "Seeds")
    assert {*INTEGER.findall(code)} == {each.lower() for each in INTEGER.findall(text)}


@pytest.mark.parametrize(
    ("name", "function"), [("0x3F3504F3", "exponent_f32"), ("0x3FE6A09E667F3BCD", "ln_f64")]
)
def test_where_ln_changes_its_exponent(name, function):
    assert name in section("stream.md", "Normal")
    assert f"{name.lower()}u" in body("vmath.inc.h", function)


def test_no_other_constant_is_in_the_functions_of_the_contract():
    text = " ".join((ROOT / "docs" / page).read_text() for page in ("stream.md", "truncated_normal.md"))
    code = " ".join(
        (ROOT / "src_c" / file).read_text() for file in ("vmath.inc.h", "values.inc.h", "truncated.h")
    )
    assert {abs(x) for x in numbers(code)} - {abs(x) for x in numbers(text)} == {
        float.fromhex("0x1.62e430p-23")
    }
