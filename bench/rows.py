"""What is measured: one row per whole training step. A row names its bpc model in models/ with the
constants it sets, and the peer's model in peers/ by the same names."""
from collections import namedtuple

Row = namedtuple("Row", "name model sizes")


def row(name, model, **sizes):
    return Row(name, model, sizes)


ROWS = [
    row("MLP 784-256-10, batch 1", "mlp", B=1, I=784, H=256, L=1, C=10),
    row("MLP 784-256-10, batch 32", "mlp", B=32, I=784, H=256, L=1, C=10),
    row("MLP 784-256-10, batch 256", "mlp", B=256, I=784, H=256, L=1, C=10),
    row("MLP 784-1024-1024-10, batch 256", "mlp", B=256, I=784, H=1024, L=2, C=10),
    row("LeNet, batch 64", "lenet", B=64),
    row("LSTM width 128, length 50, batch 32", "lstm", B=32, T=50, D=128, H=128),
    row("transformer block width 128, context 64, batch 8", "block", B=8, T=64, D=128, NH=4),
    row("transformer block width 128, context 256, batch 8", "block", B=8, T=256, D=128, NH=4),
    row("transformer block width 768, context 64, batch 8", "block", B=8, T=64, D=768, NH=12),
    row("transformer block width 768, context 256, batch 2", "block", B=2, T=256, D=768, NH=12),
    row("chargpt 4 x 128, context 64, batch 12", "chargpt", B=12, T=64, D=128, NH=4, L=4, V=65),
]
