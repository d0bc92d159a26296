"""Hand-written modules, float64, in the fastest idiomatic torch that was found."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TitanicNnet(nn.Module):
    """titanic.xlsx, sheet nnet: two ReLU units, summed; mean squared error. Weights 2×10."""

    x: Tensor
    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights.clone())
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def forward(self) -> Tensor:
        """Loss."""
        return self.loss(self.x, self.y)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss of some rows."""
        prediction = torch.relu(x @ self.weights.T).sum(dim=1)
        return nn.functional.mse_loss(prediction, y)


class TitanicMmult(nn.Module):
    """titanic.xlsx, sheet mmult: the same net as one matrix product. Weights 10×2."""

    x: Tensor
    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights.clone())
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def forward(self) -> Tensor:
        """Loss."""
        prediction = torch.relu(self.x @ self.weights).sum(dim=1)
        return nn.functional.mse_loss(prediction, self.y)


class DotProduct(nn.Module):
    """collab_filter.xlsx, sheet dotprod: users × movies where a rating exists; root mean square."""

    ratings: Tensor
    rated: Tensor

    def __init__(self, ratings: Tensor, rated: Tensor, movies: Tensor, users: Tensor) -> None:
        super().__init__()
        self.movies = nn.Parameter(movies.clone())
        self.users = nn.Parameter(users.clone())
        self.register_buffer("ratings", ratings)
        self.register_buffer("rated", rated.to(ratings.dtype))
        self.count = float(rated.sum())

    def forward(self) -> Tensor:
        """Loss; where there is no rating both terms are 0."""
        error = self.ratings - (self.users @ self.movies) * self.rated
        return torch.sqrt((error**2).sum() / self.count)


class Survival(nn.Module):
    """survival.xlsx: three ReLU units and a linear output; mean squared error."""

    x: Tensor
    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, hidden: Tensor, output: Tensor) -> None:
        super().__init__()
        self.hidden = nn.Parameter(hidden.clone())
        self.output = nn.Parameter(output.clone())
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def forward(self) -> Tensor:
        """Loss; the last output weight is the bias."""
        units = torch.relu(self.x @ self.hidden.T)
        prediction = units @ self.output[:3] + self.output[3]
        return nn.functional.mse_loss(prediction, self.y)


class Moons(nn.Module):
    """Two moons: 2-10-10-1, logistic units, binary cross-entropy. The last weights are biases."""

    x: Tensor
    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, layers: list[Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_linear(weights) for weights in layers])
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def forward(self) -> Tensor:
        """Loss."""
        return self.loss(self.x, self.y)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss of some rows."""
        first, second, output = self.layers
        hidden = torch.sigmoid(second(torch.sigmoid(first(x))))
        return nn.functional.binary_cross_entropy_with_logits(output(hidden)[:, 0], y)


class Classifier(nn.Module):
    """A classifier: one layer of ReLU units, softmax, cross-entropy. The last row are biases."""

    x: Tensor
    y: Tensor

    def __init__(self, x: Tensor, y: Tensor, layers: list[Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_linear(weights.T) for weights in layers])
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def forward(self) -> Tensor:
        """Loss."""
        return self.loss(self.x, self.y)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss of some rows."""
        first, second = self.layers
        return nn.functional.cross_entropy(second(torch.relu(first(x))), y)


def _linear(weights: Tensor) -> nn.Linear:
    """A layer from weights with a row per unit, the bias last."""
    layer = nn.Linear(weights.shape[1] - 1, weights.shape[0], dtype=weights.dtype)
    with torch.no_grad():
        layer.weight.copy_(weights[:, :-1])
        layer.bias.copy_(weights[:, -1])
    return layer


class Convolution(nn.Module):
    """conv-example.xlsx: two convolutions of two channels, max-pool 2×2, a linear output.

    The sheet's windows read one blank column beyond the first layer's output.
    """

    image: Tensor
    dense: Tensor

    def __init__(
        self, image: Tensor, dense: Tensor, first: Tensor, second: Tensor, rectified: bool
    ) -> None:
        super().__init__()
        self.first = nn.Parameter(first.clone())
        self.second = nn.Parameter(second.clone())
        self.register_buffer("image", image[None, None])
        self.register_buffer("dense", dense)
        self.rectified = rectified

    def forward(self) -> Tensor:
        """Output cell."""
        first, second = self.filters()
        layer = nn.functional.conv2d(self.image, first)
        layer = torch.relu(layer) if self.rectified else layer
        layer = nn.functional.conv2d(nn.functional.pad(layer, (0, 1)), second)
        layer = torch.relu(layer) if self.rectified else layer
        pooled = nn.functional.max_pool2d(layer, 2, ceil_mode=True)
        return (pooled[0] * self.dense).sum()

    def filters(self) -> tuple[Tensor, Tensor]:
        """Filters of both layers."""
        return self.first, self.second


class SixFilters(Convolution):
    """The same with a parameter for each filter, as the sheet has a range for each."""

    def __init__(
        self, image: Tensor, dense: Tensor, first: Tensor, second: Tensor, rectified: bool
    ) -> None:
        super().__init__(image, dense, first, second, rectified)
        del self.first, self.second
        self.single = nn.ParameterList([*first[:, 0], *second.flatten(0, 1)])

    def filters(self) -> tuple[Tensor, Tensor]:
        """Filters of both layers."""
        single = list(self.single)
        first, second = torch.stack(single[:2]), torch.stack(single[2:])
        return first.view(2, 1, 3, 3), second.view(2, 2, 3, 3)
