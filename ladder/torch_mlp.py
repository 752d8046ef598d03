"""The network in PyTorch: backward by hand, by autograd as in its tutorials, and by torch.compile.

Where the decisions come from: PyTorch's "Performance Tuning Guide" (no autograd where no gradients
are asked for; gradients set to None; `from_numpy` shares memory), the reference of `torch.addmm`
(product, bias and scale in one call, `out=`), of `torch.optim.SGD` (`fused=True`, also on the CPU,
is the quickest of its forms) and of `torch.compile` (the model wrapped; `dynamic=False`, as no
shape changes), and "inference mode". `torch` writes every result into memory that is there, masks
deltas with the kernel that autograd itself uses, and adds the product that forms a weight gradient
straight to the weights: an epoch holds no gradients. The two others are the usual loop: model,
`mse_loss`, `backward`, `step`. The learning rate given to SGD makes up for the mean in `mse_loss`.

All three are timed on tensors that share memory with NumPy's arrays; to make them stands as `call`.
A backprop is repeated after one forward, so autograd is asked to retain its graph.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.implementations import Array, denormals, threads_asked
from ladder.base import Gradients, OwnArrays, TimedInside

# Compile in this process: no helpers beside it that a benchmark would have to count.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
from torch import nn
from torch.nn.functional import mse_loss

MOST_COMPILED = 256
"""Shapes that one process may compile; by default it gives up after eight."""

mask_into = torch.ops.aten.threshold_backward.grad_input


class Tensors(OwnArrays):
    """What the three share: tensors and NumPy arrays that lie in the same memory."""

    def give(self, array: Array) -> torch.Tensor:
        """Share the memory of an array; of one that may not be written to, a copy's."""
        return torch.from_numpy(array if array.flags.writeable else array.copy())

    def take(self, own: torch.Tensor) -> Array:
        """Share the memory of a tensor, dense as NumPy's own results are."""
        return np.ascontiguousarray(own.detach().numpy())


class Memory:
    """The tensors of one number of rows, and the views of them that products want."""

    def __init__(self, rows: int, sizes: Sequence[int], dtype: torch.dtype) -> None:
        self.ones = torch.ones(1, rows, dtype=dtype)
        self.X, self.y = (torch.empty(rows, size, dtype=dtype) for size in (sizes[0], sizes[-1]))
        self.outputs = [torch.empty(rows, size, dtype=dtype) for size in sizes[1:]]
        self.deltas = [torch.empty_like(output) for output in self.outputs]
        self.across = [output.t() for output in self.outputs]


class TorchMLP(Tensors):
    """`python_impl.MLP` on tensors, backward by hand, nothing made anew."""

    def place(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Copy the parameters into tensors that stay the same."""
        if not hasattr(self, "_w"):
            self._w = [torch.from_numpy(w.copy()) for w in weights]
            self._b = [torch.from_numpy(b.copy()) for b in biases]
            self._w_across = [w.t() for w in self._w]
            self._grads_w = [torch.empty_like(w) for w in self._w]
            self._grads_b = [torch.empty_like(b) for b in self._b]
            self._memory: dict[int, Memory] = {}
        for mine, new in zip([*self._w, *self._b], [*weights, *biases], strict=True):
            mine.copy_(self.give(new))

    def placed(self) -> tuple[list[Array], list[Array]]:
        """Return the parameters as NumPy arrays."""
        return [w.numpy() for w in self._w], [b.numpy() for b in self._b]

    @torch.inference_mode()
    def own_forward(self, X: torch.Tensor) -> torch.Tensor:
        """Compute the output of a batch; the memory is filled again by the next call."""
        self._X, memory = X, self._of(len(X))
        return self._forward(X, memory.outputs)

    @torch.inference_mode()
    def own_backprop(self, y: torch.Tensor) -> Gradients:
        """Compute the gradients; the memory is filled again by the next call."""
        memory = self._of(len(y))
        inputs = [self._X.t(), *memory.across]
        torch.sub(memory.outputs[-1], y, out=memory.deltas[-1])
        for layer in reversed(range(len(self._w))):
            delta = memory.deltas[layer]
            torch.mm(inputs[layer], delta, out=self._grads_w[layer])
            torch.mm(memory.ones, delta, out=self._grads_b[layer])
            if layer > 0:
                self._down(layer, memory)
        return [*self._grads_w], [*self._grads_b]

    @torch.inference_mode()
    def own_predict(self, X: torch.Tensor) -> torch.Tensor:
        """Compute the output and keep nothing."""
        sizes = self.layer_sizes[1:]
        return self._forward(X, [torch.empty(len(X), size, dtype=X.dtype) for size in sizes])

    @torch.inference_mode()
    def own_train(
        self,
        X: torch.Tensor,
        y: torch.Tensor,
        order: NDArray[Any],
        losses: NDArray[np.float64],
    ) -> None:
        """Train batch by batch; each gradient is added to its parameters where it is formed."""
        n, rate = self.batch_size, -self.learning_rate / self.batch_size
        memory = self._of(n)
        inputs = [memory.X.t(), *memory.across]
        delta, squares = memory.deltas[-1], []
        for rows in torch.from_numpy(order).split(n)[: len(losses)]:
            torch.index_select(X, 0, rows, out=memory.X)
            torch.index_select(y, 0, rows, out=memory.y)
            torch.sub(self._forward(memory.X, memory.outputs), memory.y, out=delta)
            squares.append((delta * delta).sum(dtype=torch.float64))
            for layer in reversed(range(len(self._w))):
                if layer > 0:  # before the weights move
                    self._down(layer, memory)
                self._w[layer].addmm_(inputs[layer], memory.deltas[layer], alpha=rate)
                self._b[layer].addmm_(memory.ones, memory.deltas[layer], alpha=rate)
        losses[:] = torch.stack(squares).numpy() / delta.numel()

    def own_activations(self) -> list[torch.Tensor]:
        """Return what the last forward kept."""
        return [self._X, *self._of(len(self._X)).outputs]

    def _forward(self, X: torch.Tensor, outputs: list[torch.Tensor]) -> torch.Tensor:
        last, a = len(outputs) - 1, X
        for layer, z in enumerate(outputs):
            torch.addmm(self._b[layer], a, self._w[layer], out=z)
            a = z.relu_() if layer < last else z
        return a

    def _down(self, layer: int, memory: Memory) -> None:
        """Compute the delta below a layer."""
        below = memory.deltas[layer - 1]
        torch.mm(memory.deltas[layer], self._w_across[layer], out=below)
        mask_into(below, memory.outputs[layer - 1], 0, grad_input=below)

    def _of(self, rows: int) -> Memory:
        if rows not in self._memory:
            self._memory[rows] = Memory(rows, self.layer_sizes, self._w[0].dtype)
        return self._memory[rows]


class AutogradMLP(Tensors):
    """`python_impl.MLP` as a Sequential of Linear and ReLU, trained by `backward` and SGD."""

    def place(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Copy the parameters into the model, whose weights are (out, in)."""
        if not hasattr(self, "_model"):
            modules: list[nn.Module] = []
            for pair in pairwise(self.layer_sizes):
                modules += [nn.Linear(*pair, dtype=getattr(torch, self.dtype.name)), nn.ReLU()]
            self._model = nn.Sequential(*modules[:-1])
            self._linear = [module for module in self._model if isinstance(module, nn.Linear)]
            self._run = self._prepared(self._model)
            rate = self.learning_rate * self.layer_sizes[-1] / 2  # of the mean in mse_loss
            self._sgd = torch.optim.SGD(self._model.parameters(), lr=rate, fused=True)
        with torch.no_grad():
            for linear, w, b in zip(self._linear, weights, biases, strict=True):
                linear.weight.copy_(torch.tensor(w.T))
                linear.bias.copy_(torch.tensor(b[0]))

    def placed(self) -> tuple[list[Array], list[Array]]:
        """Return the parameters as NumPy arrays, weights (in, out)."""
        return (
            [self.take(linear.weight.t()) for linear in self._linear],
            [self.take(linear.bias[None]) for linear in self._linear],
        )

    def own_forward(self, X: torch.Tensor) -> torch.Tensor:
        """Compute the output of a batch and keep its graph."""
        self._X = X
        self._y_hat: torch.Tensor = self._run(X)
        return self._y_hat

    def own_backprop(self, y: torch.Tensor) -> Gradients:
        """Go back through the graph of the last forward; weight gradients are views (in, out)."""
        y_hat = self._y_hat
        found = torch.autograd.grad(
            y_hat, [*self._model.parameters()], y_hat.detach() - y, retain_graph=True
        )
        return [g.t() for g in found[::2]], [g[None] for g in found[1::2]]

    @torch.inference_mode()
    def own_predict(self, X: torch.Tensor) -> torch.Tensor:
        """Compute the output and keep nothing."""
        y_hat: torch.Tensor = self._model(X)
        return y_hat

    def own_train(
        self,
        X: torch.Tensor,
        y: torch.Tensor,
        order: NDArray[Any],
        losses: NDArray[np.float64],
    ) -> None:
        """Train batch by batch."""
        found = []
        for rows in torch.from_numpy(order).split(self.batch_size)[: len(losses)]:
            self._sgd.zero_grad(set_to_none=True)
            loss = mse_loss(self._run(X[rows]), y[rows])
            loss.backward()
            self._sgd.step()
            found.append(loss.detach())
        losses[:] = torch.stack(found).numpy()

    @torch.inference_mode()
    def own_activations(self) -> list[torch.Tensor]:
        """Compute again what the last forward went through: its graph keeps that to itself."""
        found = [self._X]
        for place, linear in enumerate(self._linear):
            z = linear(found[-1])
            found.append(z if place == len(self._linear) - 1 else z.relu())
        return found

    def _prepared(self, model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what is called for a forward: the model as it is."""
        run: Callable[[torch.Tensor], torch.Tensor] = model
        return run


class CompiledMLP(AutogradMLP):
    """The same with the model compiled."""

    def _prepared(self, model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the model compiled: at its first call, forward and backward."""
        import torch._dynamo.config as dynamo
        import torch._functorch.config as functorch

        # Else a backward may not run twice after one forward.
        functorch.donated_buffer = False
        # A process that compares many networks compiles each; it must not fall back in silence.
        dynamo.recompile_limit, dynamo.fail_on_recompile_limit_hit = MOST_COMPILED, True
        compiled: Callable[[torch.Tensor], torch.Tensor] = torch.compile(model, dynamic=False)
        return compiled


class Torch(TimedInside):
    """The variant `torch`."""

    name = "torch"
    compiler = "none: each operation is a call"

    def mlp(self) -> Callable[..., Tensors]:
        """Return the class of the network, with as many threads as are allowed."""
        torch.set_num_threads(threads_asked())
        return TorchMLP

    def crossing(self) -> Callable[[Array], object]:
        """Return what makes an array a tensor, and NumPy's again."""
        return lambda X: torch.from_numpy(X).numpy()

    def describe(self) -> dict[str, Any]:
        """Tell the versions, the libraries of its products, and its threads."""
        self.mlp()
        libraries = {
            "MKL": torch.backends.mkl.is_available(),
            "oneDNN": torch.backends.mkldnn.is_available(),
            "OpenMP": torch.backends.openmp.is_available(),
        }
        return {
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "torch": torch.__version__,
            },
            "threads": torch.get_num_threads(),
            "denormals": denormals(lambda tiny, one: (torch.from_numpy(tiny) * one).numpy()),
            "facts": {
                "libraries": ", ".join(name for name, there in libraries.items() if there),
                "instructions": torch.backends.cpu.get_cpu_capability(),
                "compiled": self.compiler,
            },
        }


class TorchAutograd(Torch):
    """The variant `torch-autograd`."""

    name = "torch-autograd"

    def mlp(self) -> Callable[..., Tensors]:
        """Return the class of the network, with as many threads as are allowed."""
        super().mlp()
        return AutogradMLP


class TorchCompile(Torch):
    """The variant `torch-compile`."""

    name = "torch-compile"
    compiler = "the model, by Inductor, at the first call; kept on disk for the next process"

    def mlp(self) -> Callable[..., Tensors]:
        """Return the class of the network, with as many threads as are allowed."""
        super().mlp()
        return CompiledMLP
