/* Matrix products of libraries, with row-major operands. */
#include "bench/peers.h"

#ifdef HAVE_OPENBLAS
#include <cblas.h>

static void openblas(void *of) {
    const Gemm *g = of;
    int lda = (int)(g->a_flipped ? g->m : g->k), ldb = (int)(g->b_flipped ? g->k : g->n);
    cblas_sgemm(CblasRowMajor, g->a_flipped ? CblasTrans : CblasNoTrans,
                g->b_flipped ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n, (int)g->k, 1, g->a,
                lda, g->b, ldb, 0, g->c, (int)g->n);
}
#endif

#ifdef HAVE_ONEDNN
#include <dnnl.h>

static void onednn(void *of) {
    const Gemm *g = of;
    dnnl_sgemm(g->a_flipped ? 'T' : 'N', g->b_flipped ? 'T' : 'N', g->m, g->n, g->k, 1, g->a,
               g->a_flipped ? g->m : g->k, g->b, g->b_flipped ? g->k : g->n, 0, g->c, g->n);
}
#endif

static const Contender peers[] = {
#ifdef HAVE_OPENBLAS
    {"OpenBLAS", openblas, NULL},
#endif
#ifdef HAVE_ONEDNN
    {"oneDNN", onednn, NULL},
#endif
    {NULL, NULL, NULL},
};

size_t gemm_contenders(Gemm *g, Contender *out) {
    size_t n = 0;
    for (; peers[n].run; n++) out[n] = (Contender){peers[n].name, peers[n].run, g};
    return n;
}
