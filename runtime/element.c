/* Elements of arrays of any type, as doubles. */
#include "runtime/manifest.h"

double mf_load(MfDType dt, const void *data, int64_t i) {
    switch (dt) {
    case MfF32: return (double)((const float *)data)[i];
    case MfF64: return ((const double *)data)[i];
    case MfBF16: {
        uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    case MfI32: return ((const int32_t *)data)[i];
    case MfI64: return (double)((const int64_t *)data)[i];
    case MfBool: return ((const uint8_t *)data)[i];
    case MfDTypeCount: break;
    }
    return 0;
}

void mf_store(MfDType dt, void *data, int64_t i, double v) {
    uint32_t bits;
    float f = dt == MfBF16 ? round_bf16((float)v) : (float)v;
    switch (dt) {
    case MfF32: ((float *)data)[i] = f; break;
    case MfF64: ((double *)data)[i] = v; break;
    case MfBF16:
        memcpy(&bits, &f, sizeof bits);
        ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
        break;
    case MfI32: ((int32_t *)data)[i] = (int32_t)v; break;
    case MfI64: ((int64_t *)data)[i] = (int64_t)v; break;
    case MfBool: ((uint8_t *)data)[i] = v != 0; break;
    case MfDTypeCount: break;
    }
}
