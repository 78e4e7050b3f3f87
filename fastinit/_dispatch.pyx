"""The C core and its kernels in use. Only this module links the C objects; all others call through it."""

import os

from cpython.pycapsule cimport PyCapsule_New

from fastinit._kernels cimport (
    FI_ACTIVATIONS, FI_DISTS, FI_DTYPES, FI_PARAMETERS, fi_activate, fi_activate_rows, fi_activation,
    fi_activation_info, fi_activation_op, fi_affine, fi_affine_each, fi_ahead, fi_alpha_dropout,
    fi_attempt, fi_attempt_fill, fi_attempt_part, fi_bounds, fi_consume, fi_dist, fi_dist_info, fi_draws,
    fi_dtype, fi_dtype_info, fi_enter_default_fp, fi_fill, fi_fill_each, fi_fill_from, fi_finish,
    fi_group, fi_is_wide, fi_isa, fi_itemsize, fi_kernels, fi_leave_default_fp, fi_more, fi_params,
    fi_pcg64, fi_prepare, fi_select, fi_skip_pieces, fi_source, fi_sum_rows, fi_xla_handler,
)

cdef extern from *:
    """
    #if defined(__clang__)
    #define FI_COMPILER "clang " __clang_version__
    #else
    #define FI_COMPILER "gcc " __VERSION__
    #endif
    """
    const char *FI_COMPILER

cdef extern from *:
    """
    #include <unistd.h>
    #ifdef _SC_LEVEL2_CACHE_SIZE
    #define level2_cache() sysconf(_SC_LEVEL2_CACHE_SIZE)
    #else
    #define level2_cache() 0
    #endif
    #ifdef __x86_64__
    #define is_intel() __builtin_cpu_is("intel")
    #else
    #define is_intel() 0
    #endif
    #ifdef __linux__
    #include <sys/mman.h>
    static int is_new(const void *array, size_t bytes) {
        const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        unsigned char resident = 1; /* and stays so if the system does not say */
        mincore((void *)(((uintptr_t)array + bytes / 2) & ~(page - 1)), 1, &resident);
        return !(resident & 1);
    }
    #else
    #define is_new(array, bytes) 0
    #endif
    """
    bint is_intel() nogil
    long level2_cache() nogil  # bytes; 0 or less if the system does not say
    bint is_new(const void *array, size_t bytes) nogil  # whether the system is still to clear the middle page

cdef const fi_kernels *kernels = fi_select(NULL)

# The least size in bytes of a fill that bypasses the cache: on Intel's CPUs that of the L2, but 2 MiB at
# least. On a Zen 4 uniforms of 2 to 8 MiB, written in turn, would take 1.1 to 1.25 times as long.
# If threads share a fill, the size is that of one thread's piece. It is not that of the whole, as nothing
# would be gained: 64 MiB in pieces of 4 MiB take 0.98 to 1.03 times as long as in one piece past the cache.
cdef size_t NONTEMPORAL = max(<long>(2 << 20), level2_cache()) if is_intel() else 8 << 20

# The lists of the C core: the enum value of each name; and what else a row of a .def file says.
DTYPES = {fi_dtype_info[i].tag.decode(): i for i in range(FI_DTYPES)}
DISTRIBUTIONS = {fi_dist_info[i].name.decode(): i for i in range(FI_DISTS)}
PARAMETERS = {fi_dist_info[i].name.decode(): fi_dist_info[i].parameters for i in range(FI_DISTS)}
ACTIVATIONS = {
    fi_activation_info[i].name.decode(): (
        i, fi_activation_info[i].operands, fi_activation_info[i].extra, fi_activation_info[i].sums)
    for i in range(FI_ACTIVATIONS)
}


def group_of(str distribution, str tag):
    """Return the draws and values of a distribution's group, and whether a buffered half comes first."""
    cdef int i = DISTRIBUTIONS[distribution]
    cdef fi_group group = fi_dist_info[i].wide if fi_is_wide(DTYPES[tag]) else fi_dist_info[i].narrow
    return group.draws, group.values, bool(group.buffered)


cdef bint is_nontemporal(const void *out, size_t bytes) noexcept nogil:
    """Return whether a fill bypasses the cache, so that no line is read before it is written.

    The system clears a new page in the cache, and ordinary stores find it there.
    """
    return bytes >= NONTEMPORAL and not is_new(out, bytes)


cdef void fill(const fi_pcg64 *generator, fi_dist dist, fi_dtype dtype, const fi_params *params,
               void *out, size_t start, size_t n) noexcept nogil:
    cdef fi_params large
    if is_nontemporal(out, n * fi_itemsize(dtype)):
        large = params[0]
        large.nontemporal = 1
        params = &large
    fi_fill(kernels, generator, dist, dtype, params, out, start, n)


cdef void fill_from(const fi_source *source, fi_dist dist, fi_dtype dtype, const fi_params *params,
                    void *out, size_t n) noexcept nogil:
    fi_fill_from(kernels, source, dist, dtype, params, out, n)


cdef void fill_each(fi_pcg64 *generator, const fi_source *source, fi_dist dist, fi_dtype dtype,
                    const double **arguments, void *out, size_t n) noexcept nogil:
    fi_fill_each(kernels, generator, source, dist, dtype, arguments, out, n)


cdef void consume(fi_pcg64 *generator, fi_dist dist, fi_dtype dtype, size_t n) noexcept nogil:
    fi_consume(generator, dist, dtype, n)


cdef void draws(const fi_pcg64 *generator, void *out, size_t start, size_t n) noexcept nogil:
    fi_draws(kernels, generator, out, start, n)


cdef void init_ahead(fi_ahead *ahead) noexcept nogil:
    ahead.kernels, ahead.more = kernels, fi_more


cdef int attempt_fill(fi_ahead *ahead, fi_attempt attempt, void *out, size_t n, const fi_bounds *bounds,
                      fi_finish *finish, void *bitgen) noexcept nogil:
    return fi_attempt_fill(ahead, attempt, out, n, bounds, finish, bitgen)


cdef size_t attempt_part(const fi_pcg64 *generator, fi_attempt attempt, void *out, size_t start, size_t n,
                         const fi_bounds *bounds) noexcept nogil:
    return fi_attempt_part(kernels, generator, attempt, out, start, n, bounds)


cdef void skip_pieces(fi_pcg64 *generator, fi_attempt attempt, size_t n) noexcept nogil:
    fi_skip_pieces(generator, attempt, n)


cdef void affine(fi_dtype dtype, void *out, const void *standard, size_t n, double loc,
                 double scale) noexcept nogil:
    fi_affine(kernels, dtype, out, standard, n, loc, scale)


cdef void affine_each(fi_dtype dtype, void *values, const double *loc, const double *scale,
                      size_t n) noexcept nogil:
    fi_affine_each(dtype, values, loc, scale, n)


cdef int prepare(fi_params *params, const fi_params *like, fi_dist dist, fi_dtype dtype,
                 const double *arguments) noexcept nogil:
    return fi_prepare(params, like, dist, dtype, arguments)


def prepared(str distribution, str tag, *parameters):
    """Return the bytes of the `fi_params` of a fill, whose parameters are known to be valid."""
    cdef fi_params params
    cdef double arguments[FI_PARAMETERS]
    cdef int i
    for i in range(PARAMETERS[distribution]):
        arguments[i] = parameters[i]
    prepare(&params, NULL, DISTRIBUTIONS[distribution], DTYPES[tag], arguments)
    return (<const char *>&params)[:sizeof(params)]


cdef void set_alpha_dropout(fi_activation *params, double p) noexcept nogil:
    fi_alpha_dropout(params, p)


cdef void activate(fi_activation_op op, fi_dtype dtype, const fi_activation *params,
                   const fi_pcg64 *generator, void *out, const void **operands, size_t start, size_t n,
                   bint nontemporal) noexcept nogil:
    fi_activate(kernels, op, dtype, params, generator, out, operands, start, n, nontemporal)


cdef void activate_rows(fi_activation_op op, fi_dtype dtype, const fi_activation *params, void *out,
                        const void **operands, double *sums, size_t rows, size_t columns, size_t stride,
                        bint nontemporal) noexcept nogil:
    fi_activate_rows(kernels, op, dtype, params, out, operands, sums, rows, columns, stride, nontemporal)


cdef void sum_rows(fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns) noexcept nogil:
    fi_sum_rows(dtype, out, sums, rows, columns)


def xla_handler():
    """Return a capsule of the function that XLA calls for a fill (src_c/xla.h)."""
    return PyCapsule_New(fi_xla_handler(fill), NULL, NULL)


class default_fp:
    """Context with the default floating-point modes: round to nearest, no flush to zero.

    In it, Python's + - * / and sqrt give the same bits on every machine.
    """

    __slots__ = ("_saved",)

    def __enter__(self):
        self._saved = fi_enter_default_fp()

    def __exit__(self, *error):
        fi_leave_default_fp(self._saved)


def config():
    """Return the instruction sets built and supported (slowest first), the one in use, and the compiler."""
    cdef const fi_kernels *built
    cdef int supported, i = 0
    cdef const char *name
    names = {"built": [], "supported": []}
    while (name := fi_isa(i, &built, &supported)) != NULL:
        if built != NULL:
            names["built"].append(name.decode())
        if supported:
            names["supported"].append(name.decode())
        i += 1
    return {"isa": kernels.name.decode(), **names, "compiler": FI_COMPILER.decode()}


def bypasses_cache(size_t address, size_t bytes):
    """Return whether a fill of this memory bypasses the cache."""
    return is_nontemporal(<const void *>address, bytes)


def select(str name):
    """Use the kernels of an instruction set from now on. Return the name of the previous set.

    Raises
    ------
    ValueError
        The set is unknown, not built, or not supported by this CPU. The message lists those that are usable.
    """
    global kernels
    cdef const fi_kernels *found = fi_select(name.encode())
    if found == NULL:
        there = config()
        usable = [isa for isa in there["built"] if isa in there["supported"]]
        raise ValueError(f"no kernels for {name!r}: this CPU and build have {', '.join(usable)}")
    before = kernels.name.decode()
    kernels = found
    return before


if isa := os.environ.get("FASTINIT_ISA"):
    try:
        select(isa)
    except ValueError as error:
        raise ImportError(f"FASTINIT_ISA: {error}") from None
