/* Convolutions of oneDNN 2, with the layouts that it chooses itself. */
#include "bench/peers.h"

#ifdef HAVE_ONEDNN
#include <dnnl.h>
#endif

#if defined(HAVE_ONEDNN) && DNNL_VERSION_MAJOR == 2

enum { Operands = 3 };

typedef struct PeerConv {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t hint, how;
    dnnl_primitive_t run;
    dnnl_exec_arg_t args[Operands];
} PeerConv;

static void need(dnnl_status_t s) {
    if (s == dnnl_success) return;
    fprintf(stderr, "oneDNN: status %d\n", (int)s);
    exit(1);
}

static dnnl_memory_desc_t any(int64_t n, int64_t c, int64_t s) {
    dnnl_memory_desc_t d;
    need(dnnl_memory_desc_init_by_tag(&d, 4, (dnnl_dims_t){n, c, s, s}, dnnl_f32,
                                      dnnl_format_tag_any));
    return d;
}

typedef struct Role {
    dnnl_query_t query;
    int arg;
} Role;

static const Role roles[][Operands] = {
    [ConvForward] = {{dnnl_query_src_md, DNNL_ARG_SRC},
                     {dnnl_query_weights_md, DNNL_ARG_WEIGHTS},
                     {dnnl_query_dst_md, DNNL_ARG_DST}},
    [ConvInputGradient] = {{dnnl_query_diff_src_md, DNNL_ARG_DIFF_SRC},
                           {dnnl_query_weights_md, DNNL_ARG_WEIGHTS},
                           {dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST}},
    [ConvWeightGradient] = {{dnnl_query_src_md, DNNL_ARG_SRC},
                            {dnnl_query_diff_weights_md, DNNL_ARG_DIFF_WEIGHTS},
                            {dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST}},
};

static void describe(PeerConv *c, const ConvLayer *l, ConvPass pass) {
    dnnl_memory_desc_t x = any(l->n, l->c, l->s), w = any(l->o, l->c, l->k),
                       y = any(l->n, l->o, l->s + 2 * l->pad - l->k + 1);
    dnnl_dims_t stride = {1, 1}, pad = {l->pad, l->pad};
    dnnl_convolution_desc_t d;
    need(dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &x,
                                            &w, NULL, &y, stride, pad, pad));
    need(dnnl_primitive_desc_create(&c->hint, &d, NULL, c->engine, NULL));
    if (pass == ConvInputGradient)
        need(dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &x, &w, &y,
                                                      stride, pad, pad));
    if (pass == ConvWeightGradient)
        need(dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &x, &w, NULL,
                                                         &y, stride, pad, pad));
    need(dnnl_primitive_desc_create(&c->how, &d, NULL, c->engine,
                                    pass == ConvForward ? NULL : c->hint));
}

static void convolve(void *of) {
    const PeerConv *c = of;
    need(dnnl_primitive_execute(c->run, c->stream, Operands, c->args));
    need(dnnl_stream_wait(c->stream));
}

size_t conv_contenders(const ConvLayer *l, ConvPass pass, Contender *out) {
    PeerConv *c = calloc(1, sizeof *c);
    if (!c) return 0;
    need(dnnl_engine_create(&c->engine, dnnl_cpu, 0));
    need(dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags));
    describe(c, l, pass);
    need(dnnl_primitive_create(&c->run, c->how));
    for (int i = 0; i < Operands; i++) {
        Role r = roles[pass][i];
        const dnnl_memory_desc_t *d = dnnl_primitive_desc_query_md(c->how, r.query, 0);
        c->args[i].arg = r.arg;
        need(dnnl_memory_create(&c->args[i].memory, d, c->engine, DNNL_MEMORY_ALLOCATE));
        void *memory;
        need(dnnl_memory_get_data_handle(c->args[i].memory, &memory));
        float *x = memory;
        for (size_t k = 0; k < dnnl_memory_desc_get_size(d) / sizeof *x; k++)
            x[k] = rng_f32(rng_bits(1, k)) - 0.5f;
    }
    *out = (Contender){"oneDNN", convolve, c};
    return 1;
}

void conv_contenders_free(Contender *contenders, size_t n) {
    for (size_t at = 0; at < n; at++) {
        PeerConv *c = contenders[at].of;
        for (int i = 0; i < Operands; i++) dnnl_memory_destroy(c->args[i].memory);
        dnnl_primitive_destroy(c->run);
        dnnl_primitive_desc_destroy(c->how);
        dnnl_primitive_desc_destroy(c->hint);
        dnnl_stream_destroy(c->stream);
        dnnl_engine_destroy(c->engine);
        free(c);
    }
}
#else
size_t conv_contenders(const ConvLayer *l, ConvPass pass, Contender *out) {
    (void)l, (void)pass, (void)out;
    return 0;
}

void conv_contenders_free(Contender *c, size_t n) {
    (void)c, (void)n;
}
#endif
