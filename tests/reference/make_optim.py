#!/usr/bin/env python3
"""Makes optim.npz: where optimizers go in ten steps, and the rates of schedules over 40 updates.

    python3 tests/reference/make_optim.py        needs numpy and torch (scripts/deps --bench)

Everything in f64. The losses are those of optim_test.py. lamb and lion, which PyTorch has not, are their
papers' formulas in NumPy, and so are warmups. PyTorch's lbfgs searches no line or another one: it is the
reference where full steps do, and the method of std.md in NumPy where they do not, as for newton_cg.
"""
import math
import os

import numpy as np
import torch

here = os.path.dirname(os.path.abspath(__file__))
start, a = [0.5, -1.2, 2.0, 0.1], [1.0, 0.5, 2.0, 3.0]
STEPS, COURSE = 10, 40


def bowl(w):
    return (torch.tensor(a, dtype=torch.float64) * w * w).sum() + torch.sin(w).sum()


def valley(w):
    return 10 * ((w[1:] - w[:3] ** 2) ** 2).sum() + ((1 - w[:3]) ** 2).sum()


def path(make, loss=bowl):
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    opt = make([w])

    def closure():
        opt.zero_grad()
        value = loss(w)
        value.backward()
        return value

    out = [w.detach().numpy().copy()]
    for _ in range(STEPS):
        opt.step(closure)
        out.append(w.detach().numpy().copy())
    return np.array(out)


def formula(step):
    w, state, out = np.array(start), {}, [np.array(start)]
    for t in range(1, STEPS + 1):
        w = step(w, 2 * np.array(a) * w + np.cos(w), t, state)
        out.append(w.copy())
    return np.array(out)


def lamb(w, g, t, s, lr=1e-2, b1=0.9, b2=0.999, eps=1e-8, decay=0.01):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    d = s["m"] / (1 - b1 ** t) / (np.sqrt(s["v"] / (1 - b2 ** t)) + eps) + decay * w
    return w - lr * np.linalg.norm(w) / np.linalg.norm(d) * d


def lion(w, g, t, s, lr=1e-2, b1=0.9, b2=0.99, decay=0.1):
    d = np.sign(b1 * s.get("m", 0) + (1 - b1) * g)
    s["m"] = b2 * s.get("m", 0) + (1 - b2) * g
    return w * (1 - lr * decay) - lr * d


def searched(direction, loss):
    """The path along directions(w, g, state), each step halved until the loss falls enough."""
    w, state, out, halved = np.array(start), {}, [np.array(start)], 0
    value = lambda w: loss(torch.tensor(w)).item()
    for _ in range(STEPS):
        x = torch.tensor(w, requires_grad=True)
        g = torch.autograd.grad(loss(x), x)[0].numpy()
        d, step = direction(w, g, state)
        while value(w + step * d) > value(w) + 1e-4 * step * (g @ d):
            step, halved = step / 2, halved + 1
        w = w + step * d
        out.append(w)
    assert halved > 0
    return np.array(out)


def lbfgs(history, lr=1.0):
    def direction(w, g, state):
        pairs = state.setdefault("pairs", [])
        if "w" in state:
            s, y = w - state["w"], g - state["g"]
            if s @ y > 0:
                pairs.append((s, y))
                del pairs[:-history]
        state["w"], state["g"] = w, g
        q, alphas = g.copy(), []
        for s, y in reversed(pairs):
            alphas.append((s @ q) / (s @ y))
            q -= alphas[-1] * y
        if pairs:
            s, y = pairs[-1]
            q *= (s @ y) / (y @ y)
        for (s, y), alpha in zip(pairs, reversed(alphas)):
            q += s * (alpha - (y @ q) / (s @ y))
        return -q, lr if pairs else lr * min(1, 1 / np.abs(g).sum())
    return direction


def newton_cg(loss, lr=1.0, iterations=20, tol=1e-3, damping=1e-4):
    def direction(w, g, _):
        h = torch.autograd.functional.hessian(loss, torch.tensor(w)).numpy() + damping * np.eye(len(w))
        d, r, v = np.zeros(len(w)), -g, -g
        for _ in range(iterations):
            curvature = v @ h @ v
            if np.linalg.norm(r) <= tol * np.linalg.norm(g) or curvature <= 0:
                break
            alpha = (r @ r) / curvature
            d, old, r = d + alpha * v, r @ r, r - alpha * (h @ v)
            v = r + (r @ r) / old * v
        return d if d @ g < 0 else -g, lr
    return direction


def rates(make):
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    opt = torch.optim.SGD([w], lr=0.1)
    schedule, out = make(opt), []
    for t in range(COURSE):
        out.append(opt.param_groups[0]["lr"])
        opt.step()
        if t + 1 < COURSE:
            schedule.step()
    return np.array(out)


def warmed(warmup, low):
    return np.array([0.1 * (t + 1) / warmup if t < warmup else low(t - warmup) for t in range(COURSE)])


to_the_end = dict(max_iter=1, tolerance_grad=0, tolerance_change=0)
o, s = torch.optim, torch.optim.lr_scheduler
arrays = {
    "sgd": path(lambda p: o.SGD(p, lr=1e-2)),
    "momentum": path(lambda p: o.SGD(p, lr=1e-2, momentum=0.9)),
    "nesterov": path(lambda p: o.SGD(p, lr=1e-2, momentum=0.9, nesterov=True, weight_decay=0.1)),
    "adam": path(lambda p: o.Adam(p, lr=1e-2)),
    "adamw": path(lambda p: o.AdamW(p, lr=1e-2, betas=(0.8, 0.99), weight_decay=0.1)),
    "rmsprop": path(lambda p: o.RMSprop(p, lr=1e-2)),
    "adagrad": path(lambda p: o.Adagrad(p, lr=1e-1)),
    "lamb": formula(lamb),
    "lion": formula(lion),
    "lbfgs": path(lambda p: o.LBFGS(p, **to_the_end, history_size=10)),
    "lbfgs_short": path(lambda p: o.LBFGS(p, lr=0.8, **to_the_end, history_size=2)),
    "lbfgs_searched": searched(lbfgs(10), valley),
    "lbfgs_searched_short": searched(lbfgs(3, 0.9), valley),
    "newton_cg": searched(newton_cg(valley), valley),
    "newton_cg_few": searched(newton_cg(valley, 0.9, 2, 1e-1, 1e-2), valley),
    "cosine": rates(lambda p: s.CosineAnnealingLR(p, COURSE, eta_min=0.01)),
    "exponential": rates(lambda p: s.ExponentialLR(p, 0.9)),
    "step_decay": rates(lambda p: s.StepLR(p, 12, 0.5)),
    "one_cycle": rates(lambda p: s.OneCycleLR(p, 0.1, total_steps=COURSE)),
    "linear": np.array([0.1 + (0.01 - 0.1) * t / COURSE for t in range(COURSE)]),
    "cosine_warm": warmed(8, lambda n: 0.05 * (1 + math.cos(math.pi * n / (COURSE - 8)))),
    "exponential_warm": warmed(8, lambda n: 0.1 * 0.9 ** n),
    "step_decay_warm": warmed(8, lambda n: 0.1 * 0.5 ** (n // 12)),
    "linear_warm": warmed(8, lambda n: 0.1 * (1 - n / (COURSE - 8))),
}

np.savez(os.path.join(here, "optim.npz"), **arrays)
