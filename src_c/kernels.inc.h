/* Template: fi_table_NAME, a pointer to the kernels of one instruction set. Each isa_*.c includes it. A
 * missing kernel of a .def file's row is a compile error. The compiler takes the instruction set from the
 * file's flags, intrinsics from these parameters (all but the first may be undefined):
 *
 *   FI_NAME             the instruction set's name
 *   FI_WIDTH            floats in a vector: 4, 8 (with AVX2 intrinsics) or 16 (with AVX-512 intrinsics). If
 *                       undefined, the target or the flags lack the instruction set, and the pointer is NULL
 *   FI_NT_STORE(to, x)  stores a vector, bypassing the cache
 *   FI_CONVERT_F16      the instruction set converts float16
 *   FI_CONVERT_BF16     the instruction set converts to bfloat16
 *   FI_CONVERT_U64      one instruction converts a 64-bit integer to double
 *   FI_RAW              FI_RAW_WIDE or FI_RAW_IFMA: the raw generator (raw.inc.h) */
#include "fastinit.h"

#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

#ifndef FI_WIDTH
const fi_kernels *const CAT(fi_table, FI_NAME) = NULL;
#else
#include "vmath.inc.h"
#include "vector.inc.h"
#include "convert.inc.h"
#include "raw.inc.h"
#include "values.inc.h"
#include "sampling.inc.h"
#include "bounds.inc.h"
#include "truncated.inc.h"
#include "activations.inc.h"
#include "attempts.inc.h"

#define OF_DTYPE(kernel, NAME, tag, T, F) [FI_##NAME] = kernel##_##tag,
#define BY_DTYPE(kernel) {FI_EACH_DTYPE(OF_DTYPE, kernel)}

static const fi_kernels kernels = {
    .name = TEXT(FI_NAME),
    .init_lanes = init_lanes,
    .raw = {[FI_XSL_RR] = raw_xsl_rr, [FI_DXSM] = raw_dxsm},
    .standard_truncated_normal = standard_truncated_normal,
    .abreast_f64 = abreast_f64,
    .abreast_f32 = abreast_f32,
    .transform =
        {
#define X(NAME, name, parameters, draws) [FI_##NAME] = BY_DTYPE(name),
#include "distributions.def"
        },
#if FI_WIDTH == 16
    .nontemporal[FI_NORMAL] = {[FI_F32] = nontemporal_normal_f32, [FI_F64] = nontemporal_normal_f64},
#endif
#if FI_RAW == FI_RAW_IFMA
    .random[FI_XSL_RR] = {[FI_F32] = {random_f32_xsl_rr, nontemporal_random_f32_xsl_rr},
                          [FI_F64] = {random_f64_xsl_rr, nontemporal_random_f64_xsl_rr}},
    .random[FI_DXSM] = {[FI_F32] = {random_f32_dxsm, nontemporal_random_f32_dxsm},
                        [FI_F64] = {random_f64_dxsm, nontemporal_random_f64_dxsm}},
#endif
    .activation =
        {
#define X(NAME, name, operands, extra, sums) [FI_##NAME] = BY_DTYPE(name##_kernel),
#include "activations.def"
        },
    .attempt =
        {
#define X(NAME, kernel, piece, value) [FI_##NAME] = kernel,
            FI_EACH_ATTEMPT(X)
#undef X
        },
    .affine = BY_DTYPE(affine),
    .copy_nontemporal = copy_nontemporal,
    .fence = fence,
};
const fi_kernels *const CAT(fi_table, FI_NAME) = &kernels;
#endif
