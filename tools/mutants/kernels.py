"""Mutants of the C core."""

from __future__ import annotations

from . import Mutant

BASE, AVX2, WIDE, IFMA, BF16 = "baseline", "avx2", "avx512", "avx512ifma", "avx512bf16"
DISPATCH, NN = "tests/test_dispatch.py", "tests/nn/test_nn.py tests/nn/test_dropout.py"


def _of(file: str, tests: str, *changes: tuple[str, str] | tuple[str, str, str]) -> list[Mutant]:
    """Mutants of one file, by changes of its text and, if no result changes, why."""
    return [Mutant(f"src_c/{file}", before, after, tests, *same) for before, after, *same in changes]


FUNCTIONS = _of(
    "vmath.inc.h",
    BASE,
    ("s < 0 ? -error : error", "error"),  # no rounding to odd below zero
    (" + (outward > 0 ? even : 0)", ""),
    (" - (outward < 0 ? even : 0)", ""),
    ("even = ~bits & 1", "even = 1"),
    ("0x1.250e9ap-2f", "0x1.250e9cp-2f"),
    ("-0x1.65d000p-3f", "-0x1.65d002p-3f"),
    ("0x1.fffffap-1f", "0x1.fffffcp-1f"),
    ("-0x1.62e430p-23f", "-0x1.62e42ep-23f"),
    ("k23 == 0 ? from_complement : fraction_f32(u, k23)", "fraction_f32(u, k23)"),
    ("0x3f3504f3u", "0x3f3504f4u"),
    ("fma_f32((float)w, 0x1p-32f, 0x1p-33f)", "((float)w * 0x1p-32f)"),
    ("-0x1.31fb24p-8f", "-0x1.31fb26p-8f"),
    ("-0x1.4e7d44p-6f", "-0x1.4e7d46p-6f"),
    ("quadrant & 0x80000000u", "quadrant & 0x40000000u"),
    ("(float)(int32_t)(a << 2), 0x1p-32f, 0x1p-31f", "(float)(int32_t)(a << 2), 0x1p-32f, 0"),
    ("0x1.2f031072f8dcfp-3", "0x1.2f031072f8dcep-3"),
    ("0x1.39a1fad84b423p-3", "0x1.39a1fad84b433p-3"),
    ("0x3fe6a09e667f3bcdu", "0x3fe6a09e667f3bceu"),
    ("one * 0x1.a39ef35793c76p-33", "one * 0x1.a39ef35793c77p-33"),
    ("0x1.e08d5e37dba49p-25", "0x1.e08d5e47dba49p-25"),
    ("-0x1.e2f63b4379386p-19", "-0x1.e2f63b4379387p-19"),
    ("-0x1.b045b96db34f8p-28", "-0x1.b045b97db34f8p-28"),
    ("0x000ffffffffffffeu", "0x000fffffffffffffu"),
    ("1.5 - 0x1p-52", "1.5"),
)
VALUES = _of(
    "values.inc.h",
    BASE,
    ("0x1.017010p-41f", "0x1.017012p-41f"),
    ("0x1.0b0502p+5f", "0x1.0b0504p+5f"),
    ("0x1.0035eap+0f", "0x1.0035ecp+0f"),
    ("-0x1.72345dd5c14dep-65", "-0x1.72345dd5c14dfp-65"),
    ("0x1.d46a0b51fa81dp+5", "0x1.d46a0b51fa81ep+5"),
    ("v > 11.0f", "v > 12.0f"),
    ("v > 11.0f", "v > 11.5f", "no v lies between 10.5, a centre's most, and 11.8, a tail's least"),
    ("below < above ? below : above", "below <= above ? below : above", "equal values are the same"),
    ("v = v > most ? most : v;", ""),
    ("return v < least ? least : v", "return v"),
    (" + of_bits_f64(-(d >> 11 & 1) & 0x3ca0000000000000u)", ""),
    ("1 - 0x1p-33)", "1)"),
    ("fma_f64(bend, 2.0, 1.0)", "fma_f64(bend, 1.0, 1.0)"),
    ("(float)(w >> 8) * 0x1p-24f", "(float)(w >> 9) * 0x1p-23f"),
) + _of(
    "truncated.h",
    BASE,
    ("TAIL_Q 0x1.61dep-9", "TAIL_Q 0x1.61dfp-9"),
    ("FAR_START 5.0", "FAR_START 4.5"),
    ("POINT_START 0x1p30", "POINT_START 0x1p29"),
)
BOUNDS = (
    _of(
        "bounds.inc.h",
        BASE,
        ("for (int i = 30; i > 0; i--)", "for (int i = 8; i > 0; i--)"),
        (
            "for (int i = 30; i > 0; i--)",
            "for (int i = 28; i > 0; i--)",
            "the terms left out are below 2^-140 of the sum",
        ),
        ("for (int i = 18; i > 0; i--)", "for (int i = 11; i > 0; i--)"),
        (
            "for (int i = 18; i > 0; i--)",
            "for (int i = 17; i > 0; i--)",
            "r is at most 0.35, so that the term left out is below 2^-78 of the sum",
        ),
        (
            "t > 1 && t < 37",
            "t > 1 && t < 30",
            "a tail beyond 30 is below 2^-600 of the mass that the least u takes, and far bounds have none",
        ),
        ("fma_f64(-0.5, rest, 1)", "1"),
        ("-high[i] : low[i]", "high[i] : low[i]"),
        (
            "centre ? 0 : TAIL_Q",
            "TAIL_Q",
            "q of a centre is at least that of t = 3, 0.002699796, and TAIL_Q is 0.002699792",
        ),
    )
    + _of("bounds.inc.h", AVX2, ("return fma_f64(fma_f64(-q, b, a), inverse, q);", "return q;"))
    + _of(
        "params.c",
        BASE,
        ("bits & 1 ? v : of_bits_f32", "1 ? v : of_bits_f32"),
        ("return v < x ? next_above", "return v <= x ? next_above"),
        ("return v == x ? next_above", "return 0 ? next_above"),
        ("some ? most : params->least", "most"),
        ("_mm_setcsr(0x1f80);", "_mm_setcsr(0x9f80);"),
    )
    + _of(
        "params.c",
        "tests/test_distributions.py -k limits_of_uniform",
        ("x == 0 ? 0 : x /* not -0 */", "x"),  # bfloat16's smallest, in uniform up to 0
        ("working(dtype, low));\n}", "low);\n}"),
    )
    + _of(
        "truncated.c",
        "tests/test_generator_arrays.py",
        ("memcmp(&like->tail[FROM], arguments, 2 * ", "memcmp(&like->tail[FROM], arguments, 1 * "),
    )
)
FILLS = (
    _of(
        "fill.c",
        BASE,
        ("FEW_DRAWS = 64", "FEW_DRAWS = 32", "both ways of making draws give the same"),
        ("out, first++, start % per, 1);", "out, first, start % per, 1);"),
        ("            start--;\n", ""),
        ("uint64_t draw = generator->uinteger,", "uint64_t draw = generator->uinteger + 1ull,"),
        ("(n + g.values - 1) / g.values", "n / g.values"),
        ("r->words -= r->words > 1 ? 2 : 1;", "r->words -= 1;"),
        ("if (odd > kept) odd = kept;", "odd = 0;"),
    )
    + _of("fill.c", IFMA, ("params->loc == 0 && params->scale == 1", "params->scale == 1"))
    + _of(
        "each.c",
        BASE,
        ("memcmp(&low[i], &low[first], sizeof *low) == 0", "1"),
        ("x > l->least[i] && x < l->most[i]", "1"),
    )
    + _of(
        "pcg64.h",
        BASE,
        ("r = hi >> 58", "r = hi >> 57"),
        ("(lo | 1)", "lo"),
        ("hi ^ hi >> 48", "hi ^ hi >> 47"),
        ("fi_advance(g, (n - 1) / 2);", "fi_advance(g, n / 2);"),
    )
    + _of("raw.inc.h", WIDE, (" + (low < c0)", ""), (" + (middle >> 32)", ""))
    + _of(
        "raw.inc.h",
        IFMA,
        ("n2 = ADD(n2, SHR(n1, 52));", ""),
        ("SHR(s2, 18)", "SHR(s2, 17)"),
        ("_mm512_or_si512(lo, one)", "lo"),
        ("_mm512_srli_epi32(x, 8)", "_mm512_srli_epi32(x, 7)"),
    )
    + _of("sampling.inc.h", BASE, ("u > most ? most : u", "u"), ("scale >= (T)0x1p-64", "scale >= 0"))
    + _of(
        "truncated.inc.h",
        BASE,
        ("q < TAIL_Q ? q", "q < 2 * TAIL_Q ? q"),
    )
    + _of(
        "truncated.inc.h",
        "tests/test_generator_arrays.py",
        ("if (a.far[k]) t[k] = ", "if (0) t[k] = "),
    )
    + _of("seed_sequence.h", "tests/test_seeding.py", ("2 * i % FI_POOL", "i % FI_POOL"))
    + _of(
        "attempts.inc.h",
        "tests/test_numpy_bits.py",
        ("UNSURE = 4e-6", "UNSURE = -1"),
        ("made += (P)m >= threshold;", "made += 1;"),
    )
)
ACTIVATIONS = (
    _of(
        "activations.inc.h",
        BASE,
        ("tanh_end_f32 = 8.6f", "tanh_end_f32 = 8.2f"),
        ("selu_end_f32 = 20", "selu_end_f32 = 15"),
        ("exp_end_f32 = 104", "exp_end_f32 = 103"),
        ("0x1.05c610p-29f", "0x1.05c612p-29f"),
        ("0x1.6b78f0p-10f", "0x1.6b78f2p-10f"),
        ("lambda_alpha_f32 = 0x1.c212ccp+0f", "lambda_alpha_f32 = 0x1.c212cep+0f"),
        ("0x1.28a2a3c85c281p-22", "0x1.28a2a3d85c281p-22"),
        ("-0x1.ef35793c76730p-45", "-0x1.ef35793c76740p-45"),
        ("tanh_end_f64 = 18.6", "tanh_end_f64 = 18.3"),
        ("exp_end_f64 = 746", "exp_end_f64 = 744"),
        ("selu_end_f64 = 40", "selu_end_f64 = 38", "exp(-38) is less than half an ulp of 1 already"),
    )
    + _of(
        "activation_ops.inc.h",
        BASE,
        ("1 - q, q);", "1, q);"),
        (", b) : 0;", ", b) * 0 : 0;"),
        ("N(fma)(-y, y, 1)", "(1 - y * y)"),
        ("x < 0 ? below : 1 - below", "x < 0 ? below : 1 / (1 + N(exp_negative)(-x))"),
    )
    + _of(
        "activation_ops.inc.h",
        NN,
        ("return x * (1 - y) * y;", "return x * y * (1 - y);"),
        ("(U)w <= p->last_dropped", "(U)w < p->last_dropped"),
        ("return x < 0 ? 0 : x;", "return x > 0 ? x : 0;"),
        ("return x > 0 ? x : x * (F)p->slope;", "return x >= 0 ? x : x * (F)p->slope;"),
    )
    + _of(
        "activate.c",
        "tests/nn/test_fused_bias.py tests/nn/test_dropout.py",
        ("- outward) | 1)", "- outward))"),  # round-to-odd of sums
        ("bits_f32(nearest) - outward", "bits_f32(nearest)"),
        ("words < 1 ? 0 : ", ""),
        ("ROWS = 16", "ROWS = 8"),
        ("TILE = 8192", "TILE = 4096", "columns are summed by themselves"),
        ("first = start == 0 && buffered", "first = buffered"),
        ("o.phase = start % params->period;", "o.phase = 0;"),
    )
    + _of(
        "dtypes.inc.h",
        BASE,
        ("b + 0x7fffu + (b >> 16 & 1)", "b + 0x7fffu"),
        ("a + 0xfffu + (a >> 13 & 1)", "a + 0xfffu"),
        ("a < 0x38800000u", "a < 0x38000000u"),
        ("a >= 0x47800000u", "a >= 0x47900000u"),
    )
    + _of(
        "convert.inc.h",
        BF16,
        ("OTHERS = QUIET_NAN | SUBNORMAL | SIGNALLING_NAN", "OTHERS = QUIET_NAN | SIGNALLING_NAN"),
    )
)
LEVELS = _of(
    "dispatch.c",
    DISPATCH,
    ("bit_AVX512DQ | bit_AVX512VL", "bit_AVX512DQ"),
    (".xcr0 = 0xe0", ".xcr0 = 0x60"),
    (".xcr0 = 0x06", ".xcr0 = 0x02"),
    ("bit_MOVBE | bit_OSXSAVE | bit_AVX", "bit_MOVBE | bit_AVX"),
    (" &&\n           !(level.xcr0 & ~found.xcr0)", ""),
    ("has(ifma, found) && has(bf16, found)", "has(bf16, found)"),
    ("bit_LAHF_LM | bit_LZCNT", "bit_LAHF_LM"),
)
MUTANTS = [*FUNCTIONS, *VALUES, *BOUNDS, *FILLS, *ACTIVATIONS, *LEVELS]
