/* Elements of arrays of any type, as doubles. */
#include "runtime/manifest.h"

double mf_load(DType dt, const void *data, int64_t i) {
    switch (dt) {
    case F32: return (double)((const float *)data)[i];
    case F64: return ((const double *)data)[i];
    case BF16: {
        uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    case I32: return ((const int32_t *)data)[i];
    case I64: return (double)((const int64_t *)data)[i];
    case BOOL: return ((const uint8_t *)data)[i];
    case DTypeCount: break;
    }
    return 0;
}

void mf_store(DType dt, void *data, int64_t i, double v) {
    uint32_t bits;
    float f = dt == BF16 ? round_bf16((float)v) : (float)v;
    switch (dt) {
    case F32: ((float *)data)[i] = f; break;
    case F64: ((double *)data)[i] = v; break;
    case BF16:
        memcpy(&bits, &f, sizeof bits);
        ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
        break;
    case I32: ((int32_t *)data)[i] = (int32_t)v; break;
    case I64: ((int64_t *)data)[i] = (int64_t)v; break;
    case BOOL: ((uint8_t *)data)[i] = v != 0; break;
    case DTypeCount: break;
    }
}
