/* How much there is to do: for --emit=kernels, and where something is chosen by its cost. */
#include "ir/ir.h"

enum { StepsOfWhile = 8 }; /* of unknown length: a guess */

double ins_flops(const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    double size = i->type.shape ? (double)i->type.shape->size : 0;
    switch (op_info[i->op].cls) {
    case ClsElem:
        return size;
    case ClsReduce:
        return (double)fn->ins.data[i->args[0]].type.shape->size;
    case ClsContract: {
        const Shape *a = fn->ins.data[i->args[0]].type.shape;
        const Shape *b = fn->ins.data[i->args[1]].type.shape;
        if (i->op == Op_conv)
            return 2 * size * (double)b->size / (double)(b->dim[0] ? b->dim[0] : 1);
        return 2 * size * (double)a->dim[a->rank - 1];
    }
    case ClsMove:
        if (i->op == Op_scatter_add) return (double)fn->ins.data[i->args[2]].type.shape->size;
        return i->op == Op_cumsum ? size : 0;
    case ClsSource:
    case ClsView:
    case ClsCall:
    case ClsRegion:
    case ClsOperator:
        break;
    }
    return 0;
}

double ins_work(const Program *p, const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    if (i->op == Op_call) return fn_work(p, program_fn(p, i->attrs[0].s));
    if (op_info[i->op].cls == ClsRegion) {
        Region r = region_of(p, i);
        double steps = i->op == Op_scan ? (double)r.length : i->op == Op_while ? StepsOfWhile : 1;
        return steps * (fn_work(p, r.body) + (r.other ? fn_work(p, r.other) : 0));
    }
    double flops = ins_flops(fn, v), size = i->type.shape ? (double)i->type.shape->size : 0;
    return i->op == Op_get ? 0 : flops > size ? flops : size;
}

double fn_work(const Program *p, const Fn *fn) {
    double work = 0;
    for (Val v = fn->nparams; v < fn->ins.len; v++) work += ins_work(p, fn, v);
    return work;
}
