/* Slots: carries of a loop that are stored, one above the other. A carry is stored flat, so that
 * one more dimension always fits, and as numbers. An empty slot is -0.0, to which anything can be
 * added without changing a bit: scatter_add writes one slot in place.
 * Tests: tests/passes/region_test.c */
#include "passes/reverse.h"

Type slots_type(Cx *cx, Type carry) {
    int64_t dim[] = {Slots, carry.shape->size};
    const Shape *s = shape_of(cx, dim, carry.shape->rank ? 2 : 1);
    return (Type){carry.dt == BOOL ? I32 : carry.dt, 0, s};
}

Type kept_type(Cx *cx, Type carry) {
    return (Type){carry.dt, carry.range, slots_type(cx, carry).shape};
}

Val slots_empty(Cx *cx, Builder *b, Type carry) { return b_float(b, slots_type(cx, carry), -0.0); }

Val slots_store(Builder *b, Val slots, Val slot, Val carry) {
    Type from = b_type(b, carry), to = b_type(b, slots);
    const Attr axis = attr_int(0);
    const Val at[] = {slots, slot};
    const Shape *flat = b_type(b, b_op(b, Op_gather, at, 2, &axis, NULL)).shape;
    const Type number = {to.dt, 0, from.shape};
    if (!type_equal(from, number)) carry = b_op(b, Op_cast, &carry, 1, NULL, &number);
    const Val args[] = {slots, slot, b_reshape(b, carry, flat)};
    return b_op(b, Op_scatter_add, args, 3, &axis, NULL);
}

Val slots_read(Builder *b, Val slots, Val slot, Type carry) {
    const Attr axis = attr_int(0);
    Val x = b_op(b, Op_gather, (Val[]){slots, slot}, 2, &axis, NULL);
    x = b_reshape(b, x, carry.shape);
    return type_equal(b_type(b, x), carry) ? x : b_op(b, Op_cast, &x, 1, NULL, &carry);
}

Val slots_kept(Cx *cx, Builder *b, Val slots, Type carry) {
    Type type = kept_type(cx, carry);
    return type_equal(b_type(b, slots), type) ? slots : b_op(b, Op_cast, &slots, 1, NULL, &type);
}

Val slots_halved(Cx *cx, Builder *b, Val slots, Val full) {
    const Shape *s = b_type(b, slots).shape;
    int64_t lo[] = {0, 0}, stride[] = {2, 1};
    Attr cut[] = {attr_ints(cx, lo, s->rank), attr_ints(cx, s->dim, s->rank),
                  attr_ints(cx, stride, s->rank)};
    Attr axis = attr_int(0);
    Val even = b_op(b, Op_slice, &slots, 1, cut, NULL);
    Val empty = b_float(b, b_type(b, even), -0.0);
    Val half = b_op(b, Op_concat, (Val[]){even, empty}, 2, &axis, NULL);
    return b_op(b, Op_where, (Val[]){b_broadcast(b, full, s), half, slots}, 3, NULL, NULL);
}
