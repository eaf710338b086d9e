/* Numbers as text that reads back to the same bits. */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>

/* A decimal without point or exponent would read as an integer. */
static void as_float(char *buf) {
    if (!strpbrk(buf, ".en")) strcat(buf, ".0");
    char *e = strchr(buf, 'e');
    if (!e) return;
    /* 1e+05 -> 1e5, 1e-05 -> 1e-5: one spelling per number */
    char *digits = e + 1, *to = e + 1;
    if (*digits == '+') digits++;
    else if (*digits == '-') *to++ = *digits++;
    while (*digits == '0' && digits[1]) digits++;
    memmove(to, digits, strlen(digits) + 1);
}

static bool special(char *buf, double v) {
    if (isnan(v)) strcpy(buf, "nan");
    else if (isinf(v)) strcpy(buf, v < 0 ? "-inf" : "inf");
    else return false;
    return true;
}

void print_f64(char *buf, double v) {
    if (special(buf, v)) return;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, 32, "%.*g", digits, v);
        if (strtod(buf, NULL) == v) break;
    }
    as_float(buf);
}

void print_f32(char *buf, float v) {
    if (special(buf, v)) return;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(buf, 32, "%.*g", digits, v);
        if (strtof(buf, NULL) == v) break;
    }
    as_float(buf);
}

float round_bf16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (isnan(v)) bits |= 0x400000u;
    else bits += 0x7FFFu + ((bits >> 16) & 1);
    bits &= 0xFFFF0000u;
    memcpy(&v, &bits, sizeof bits);
    return v;
}
