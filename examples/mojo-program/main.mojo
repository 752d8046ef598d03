"""Trains a network on 64 rows of y = x * x and prints the loss of its last batch."""
from mlp.data import DataSet
from mlp.network import Network
from mlp.runtime.memory import Buffer
from mlp.runtime.threads import Team


def main() raises:
    var network = Network[DType.float64]([1, 16, 1], seed=1)
    var team = Team(1)  # threads
    var X = Buffer[Float64](64)
    var y = Buffer[Float64](64)
    var losses = Buffer[Float64](8)  # of an epoch, one for each batch
    for row in range(64):
        X[row] = Float64(row) / 32 - 1
        y[row] = X[row] * X[row]
    var data = DataSet(X.start, y.start, 64)
    var none = DataSet(X.start, y.start, 0)  # for validation
    var at = losses.start
    for _ in range(200):
        network.begin_epoch(rows=64, batch_size=8)
        network.train_batches(team, data, none, 8, 0.1 / 8, 0, 8, at, at)
    print(losses[7])
    _ = (X^, y^)  # a pointer keeps no buffer alive
