"""One of the benchmark's models in PyTorch, trained for so many steps on made-up data:

    torch_step.py MODEL --steps N --threads T [--compile] NAME=VALUE ...
"""
import argparse

import torch
import torch.nn.functional as F
from torch import nn

BATCHES = 4  # of rows: as in models/


class MLP(nn.Module):
    def __init__(self, I, H, L, C, **_):
        super().__init__()
        widths = [I] + [H] * L
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.last = nn.Linear(H, C)

    def forward(self, x):
        for layer in self.hidden:
            x = F.relu(layer(x))
        return self.last(x)


class LeNet(nn.Module):
    def __init__(self, **_):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.f1, self.f2, self.f3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.f3(F.relu(self.f2(F.relu(self.f1(x.flatten(1))))))


class Last(nn.Module):
    def __init__(self, D, H, **_):
        super().__init__()
        self.lstm = nn.LSTM(D, H, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[1][0][0]


class Block(nn.Module):
    def __init__(self, D, NH, **_):
        super().__init__()
        self.heads = NH
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.fc1, self.fc2 = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        B, T, D = x.shape
        parts = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, D // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = x + self.proj(o.transpose(1, 2).reshape(B, T, D))
        return h + self.fc2(F.gelu(self.fc1(self.norm2(h))))


class GPT(nn.Module):
    def __init__(self, T, D, NH, L, V, **_):
        super().__init__()
        self.embed = nn.Embedding(V, D)
        self.place = nn.Parameter(0.02 * torch.randn(T, D))
        self.blocks = nn.ModuleList(Block(D, NH) for _ in range(L))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, V)

    def forward(self, ids):
        h = self.embed(ids) + self.place
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


def classes(z, y):
    return F.cross_entropy(z.flatten(0, -2), y.flatten())


MODELS = {  # model, loss, inputs, targets
    "mlp": (MLP, classes, lambda B, I, **_: torch.rand(B, I),
            lambda B, C, **_: torch.randint(C, (B,))),
    "lenet": (LeNet, classes, lambda B, **_: torch.rand(B, 1, 28, 28),
              lambda B, **_: torch.randint(10, (B,))),
    "lstm": (Last, F.mse_loss, lambda B, T, D, **_: torch.rand(B, T, D),
             lambda B, H, **_: torch.rand(B, H)),
    "block": (Block, F.mse_loss, lambda B, T, D, **_: torch.randn(B, T, D),
              lambda B, T, D, **_: torch.randn(B, T, D)),
    "chargpt": (GPT, classes, lambda B, T, V, **_: torch.randint(V, (B, T)),
                lambda B, T, V, **_: torch.randint(V, (B, T))),
}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--compile", action="store_true")
    p.add_argument("sizes", nargs="*")
    o = p.parse_intermixed_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    sizes = {k: int(v) for k, v in (s.split("=") for s in o.sizes)}
    make, loss, inputs, targets = MODELS[o.model]
    net = make(**sizes)
    adam = o.model == "chargpt"
    opt = (torch.optim.AdamW if adam else torch.optim.SGD)(net.parameters(), lr=1e-3 if adam else 1e-2)
    batch = sizes["B"]
    sizes["B"] *= BATCHES
    xs, ys = inputs(**sizes), targets(**sizes)

    def objective(x, y):
        return loss(net(x), y)

    if o.compile:
        objective = torch.compile(objective)
    for n in range(o.steps):
        if n % BATCHES == 0:
            order = torch.randperm(len(xs)).split(batch)
        rows = order[n % BATCHES]
        opt.zero_grad(set_to_none=True)
        objective(xs[rows], ys[rows]).backward()
        opt.step()


main()
