/* The handler of XLA's foreign function interface. */
#define _DEFAULT_SOURCE /* madvise */
#include "xla.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "pcg64.h"
#include "seed_sequence.h"
#include "xla/ffi/api/c_api.h"

enum { AXES = 64 };

static fi_filler *filler;

/* A part of an array, and how its elements are made. From axis `row` on they follow each other in the array.
 */
typedef struct part {
    fi_pcg64 generator;
    enum fi_dist dist;
    enum fi_dtype dtype;
    fi_params params;
    size_t row, elements;
    size_t counts[AXES], first[AXES], stride[AXES];
} part;

/* Writes the elements along an axis and those behind it, from element `at` on. Returns the end. */
static char *fill_axis(const part *p, size_t axis, size_t at, char *out) {
    at += p->first[axis] * p->stride[axis];
    if (axis == p->row) {
        const size_t n = p->counts[axis] * p->stride[axis];
        filler(&p->generator, p->dist, p->dtype, &p->params, out, at, n);
        return out + n * fi_itemsize(p->dtype);
    }
    for (size_t i = 0; i < p->counts[axis]; i++, at += p->stride[axis]) out = fill_axis(p, axis + 1, at, out);
    return out;
}

/* Asks for large pages under memory that is still to be filled, as NumPy does from 4 MiB on. Without them,
 * the first touch of each 4 KiB costs more than its values do. */
static void ask_for_large_pages(char *out, size_t bytes) {
#ifdef __linux__
    const uintptr_t large = 2 << 20, first = ((uintptr_t)out + large - 1) / large * large;
    const uintptr_t end = ((uintptr_t)out + bytes) / large * large;
    if (bytes >= 2 * large && first < end) madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
    (void)out, (void)bytes;
#endif
}

static int read_dtype(enum fi_dtype *dtype, XLA_FFI_DataType theirs) {
    switch (theirs) {
    case XLA_FFI_DataType_F16: *dtype = FI_F16; return 1;
    case XLA_FFI_DataType_BF16: *dtype = FI_BF16; return 1;
    case XLA_FFI_DataType_F32: *dtype = FI_F32; return 1;
    case XLA_FFI_DataType_F64: *dtype = FI_F64; return 1;
    default: return 0;
    }
}

/* Reads the attributes, which XLA sorts by name, and the dtype. Returns what is wrong, or NULL. */
static const char *read_law(part *p, const XLA_FFI_Attrs *attrs, const XLA_FFI_Buffer *result) {
    for (int64_t i = 0; i < attrs->size; i++)
        if (attrs->types[i] != XLA_FFI_AttrType_ARRAY) return "attributes are arrays";
    if (attrs->size != 3) return "the attributes are distribution, parameters and shape";
    const XLA_FFI_Array *dist = attrs->attrs[0], *parameters = attrs->attrs[1];
    const int64_t number = dist->size == 1 ? *(const int64_t *)dist->data : -1;
    if (number < 0 || number >= FI_DISTS) return "no such distribution";
    if (!read_dtype(&p->dtype, result->dtype)) return "no such dtype";
    p->dist = (enum fi_dist)number;
    if (parameters->size != fi_dist_info[number].parameters) return "another number of parameters";
    if (fi_prepare(&p->params, NULL, p->dist, p->dtype, parameters->data)) return "parameters out of range";
    return NULL;
}

/* Reads the place of the part in the array. Returns what is wrong, or NULL. */
static const char *read_place(part *p, const XLA_FFI_Args *args, const XLA_FFI_Buffer *result,
                              const XLA_FFI_Array *shape) {
    const size_t rank = shape->size, batch = (size_t)result->rank - rank;
    if (rank > AXES || result->rank < (int64_t)rank) return "too few or too many axes";
    if (args->size != 1 && (size_t)args->size != 1 + rank) return "one operand for each axis, or none";
    p->row = p->first[0] = 0;
    p->elements = p->counts[0] = p->stride[0] = 1; /* if there are no axes */
    for (size_t axis = rank, stride = 1; axis-- > 0;) {
        const size_t full = (size_t)((const int64_t *)shape->data)[axis];
        p->stride[axis] = stride;
        p->counts[axis] = (size_t)result->dims[batch + axis];
        p->first[axis] = 0;
        if (args->size > 1 && p->counts[axis])
            p->first[axis] = *(const uint32_t *)((const XLA_FFI_Buffer *)args->args[1 + axis])->data;
        if (p->counts[axis] != full && p->row < axis) p->row = axis;
        stride *= full;
        p->elements *= p->counts[axis];
    }
    return NULL;
}

static XLA_FFI_Error *handler(XLA_FFI_CallFrame *frame) {
    if (frame->extension_start && frame->extension_start->type == XLA_FFI_Extension_Metadata) {
        XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)frame->extension_start)->metadata;
        metadata->api_version.major_version = XLA_FFI_API_MAJOR;
        metadata->api_version.minor_version = XLA_FFI_API_MINOR;
        metadata->traits = 0;
        return NULL;
    }
    part p;
    const XLA_FFI_Buffer *seeds = frame->args.size > 0 ? frame->args.args[0] : NULL;
    const char *wrong = "the words of seeds and one result are needed";
    if (seeds && seeds->dtype == XLA_FFI_DataType_U32 && seeds->rank > 0 && frame->rets.size == 1) {
        wrong = read_law(&p, &frame->attrs, frame->rets.rets[0]);
        if (!wrong) wrong = read_place(&p, &frame->args, frame->rets.rets[0], frame->attrs.attrs[2]);
    }
    if (wrong) {
        XLA_FFI_Error_Create_Args error = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, wrong,
                                           XLA_FFI_Error_Code_INVALID_ARGUMENT};
        return frame->api->XLA_FFI_Error_Create(&error);
    }
    const size_t words = (size_t)seeds->dims[seeds->rank - 1];
    size_t many = p.elements ? 1 : 0;
    for (int64_t i = 0; i < seeds->rank - 1; i++) many *= (size_t)seeds->dims[i];
    char *out = ((XLA_FFI_Buffer *)frame->rets.rets[0])->data;
    ask_for_large_pages(out, many * p.elements * fi_itemsize(p.dtype));
    for (size_t i = 0; i < many; i++) {
        uint32_t pool[FI_POOL];
        uint64_t state[4];
        fi_hash_entropy(pool, (const uint32_t *)seeds->data + i * words, words);
        fi_generate_state(state, pool);
        p.generator.variant = FI_XSL_RR;
        fi_seed(&p.generator, state);
        out = fill_axis(&p, 0, 0, out);
    }
    return NULL;
}

void *fi_xla_handler(fi_filler *fill) {
    filler = fill;
    return (void *)(uintptr_t)handler;
}
