/* Slots: carries of a loop that are stored, one above the other. A carry is stored flat, so that one
 * more dimension always fits. Tests: tests/passes/region_test.c */
#include "passes/reverse.h"

Type slots_type(Cx *cx, Type carry) {
    int64_t dim[] = {Slots, carry.shape->size};
    return (Type){carry.dt, carry.range, shape_of(cx, dim, carry.shape->rank ? 2 : 1)};
}

/* Of the shape of slots: true in one of them. */
static Val slot_mask(Cx *cx, Builder *b, Val slot, const Shape *to) {
    int64_t dim[] = {Slots, 1};
    Attr n = attr_int(Slots);
    Val each = b_op(b, Op_iota, NULL, 0, &n, NULL), at = b_broadcast(b, slot, shape_of(cx, dim, 1));
    Val mask = b_op(b, Op_eq, (Val[]){each, at}, 2, NULL, NULL);
    return b_broadcast(b, b_reshape(b, mask, shape_of(cx, dim, to->rank)), to);
}

static Val choose(Builder *b, Val c, Val x, Val y) {
    const Shape *s = b_type(b, x).shape;
    return b_op(b, Op_where, (Val[]){b_broadcast(b, c, s), x, y}, 3, NULL, NULL);
}

/* Every second slot, twice: the second half is written before it is read. */
static Val halved(Cx *cx, Builder *b, Val slots) {
    const Shape *s = b_type(b, slots).shape;
    int64_t lo[] = {0, 0}, stride[] = {2, 1};
    Attr cut[] = {attr_ints(cx, lo, s->rank), attr_ints(cx, s->dim, s->rank),
                  attr_ints(cx, stride, s->rank)};
    Attr axis = attr_int(0);
    Val even = b_op(b, Op_slice, &slots, 1, cut, NULL);
    return b_op(b, Op_concat, (Val[]){even, even}, 2, &axis, NULL);
}

Val slots_store(Cx *cx, Builder *b, Val slots, Val full, Val slot, Val carry) {
    const Shape *s = b_type(b, slots).shape, *from = b_type(b, carry).shape;
    const Shape *flat = from->rank ? shape_of(cx, &from->size, 1) : from;
    Val kept = choose(b, full, halved(cx, b, slots), slots);
    carry = b_broadcast(b, b_reshape(b, carry, flat), s);
    return choose(b, slot_mask(cx, b, slot, s), carry, kept);
}

Val slots_read(Builder *b, Val slots, Val slot, const Shape *carry) {
    Attr axis = attr_int(0);
    Val x = b_op(b, Op_gather, (Val[]){slots, slot}, 2, &axis, NULL);
    return b_reshape(b, x, carry);
}
