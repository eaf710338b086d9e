/* Arrays as text in NumPy's layout, with the shortest decimals that read back to the same bits.
 *
 *   out0: f32[2, 2] =
 *   [[1.0, 2.0],
 *    [3.0, 4.0]] */
#include "runtime/runtime.h"

#include <math.h>

/* 340.0 rather than 3.4e2: whole numbers that are exact, written out. */
static void write_out(char *buf, double v, double limit) {
    if (fabs(v) >= 1 && fabs(v) < limit && strchr(buf, 'e')) sprintf(buf, "%.1f", v);
}

static void print_element(Text *t, MfType type, const void *data, int64_t i) {
    char buf[32];
    double v = mf_load(type.dt, data, i);
    switch (type.dt) {
    case F32:
    case BF16:
        print_f32(buf, (float)v);
        write_out(buf, v, 1e7);
        break;
    case F64:
        print_f64(buf, v);
        write_out(buf, v, 1e15);
        break;
    case I64:
        snprintf(buf, sizeof buf, "%lld", (long long)((const int64_t *)data)[i]);
        break;
    case I32:
        snprintf(buf, sizeof buf, "%d", (int)v);
        break;
    case BOOL:
        strcpy(buf, v != 0 ? "true" : "false");
        break;
    case DTypeCount:
        return;
    }
    text_add(t, "%s", buf);
}

/* The part of the array whose first `depth` indices are fixed; `first` is its first element. */
static void print_part(Text *t, MfType type, const void *data, uint32_t depth, int64_t first) {
    if (depth == type.rank) {
        print_element(t, type, data, first);
        return;
    }
    int64_t stride = 1;
    for (uint32_t i = depth + 1; i < type.rank; i++) stride *= type.dim[i];
    text_add(t, "[");
    for (int64_t i = 0; i < type.dim[depth]; i++) {
        if (i && depth + 1 == type.rank)
            text_add(t, ", ");
        else if (i)
            text_add(t, ",\n%*s", (int)depth + 1, "");
        print_part(t, type, data, depth + 1, first + i * stride);
    }
    text_add(t, "]");
}

void print_values(Text *t, MfType type, const void *data) {
    print_part(t, type, data, 0, 0);
}

enum { SmallSize = 1000 };

void print_array(Text *t, Arena *a, const char *name, MfType type, const void *data) {
    text_add(t, "%s: %s", name, mf_type_text(a, type));
    if (type.size <= SmallSize) {
        text_add(t, type.rank > 1 ? " =\n" : " = ");
        print_part(t, type, data, 0, 0);
    }
    text_add(t, "\n");
}
