"""Ratios of sums over rows, with bootstrap intervals; the sums survive batches and several processes."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

BLOCK = 100  # resamples at a time
Ratios = Mapping[str, tuple[str, str]]


class Tally:
    """Metrics that are ratios of sums over rows: Acc@k = hits / rows, cumIoU = intersection / union.

    Row i adds to bucket i mod `buckets`. The buckets' sums are the whole state: they add up over batches, and over
    processes by `torch.distributed.all_reduce(tally.sums)`. Intervals come from drawing buckets with replacement. Up to
    `buckets` rows this is the usual bootstrap over rows; above it each bucket stands for the rows it holds, whose sums
    vary as the rows do, so memory and time do not grow with the rows. Rows are taken to be independent, unless clusters
    are given: rows of one cluster, such as the rollouts of one prompt, share a bucket and are drawn together.

    Args:
        ratios: for each metric the column to divide and the column to divide by; the column "rows" counts rows.
        empty: a metric's value where there is nothing to divide by.
        buckets: how many.
        device: where the sums are kept.

    >>> tally = Tally({"acc": ("hits", "rows")})
    >>> tally.update({"hits": torch.tensor([1.0, 0.0, 1.0, 1.0])})
    >>> tally.compute()
    {'acc': 0.75}
    """

    def __init__(
        self, ratios: Ratios, *, empty: float = 0.0, buckets: int = 1024, device: torch.device | str = "cpu"
    ) -> None:
        self.ratios, self.empty = dict(ratios), empty
        self.columns = tuple(dict.fromkeys(["rows", *(name for pair in self.ratios.values() for name in pair)]))
        self.sums = torch.zeros(buckets, len(self.columns), dtype=torch.float64, device=device)

    @property
    def rows(self) -> int:
        """How many rows have been added."""
        return int(self.sums[:, 0].sum().item())

    def update(self, columns: Mapping[str, Tensor], clusters: Tensor | None = None) -> None:
        """Add rows.

        Args:
            columns: at least those that the ratios name, `(N,)` each.
            clusters: `(N,)`, integers: the cluster of each row, numbered from 0 over all updates. Every row is one of
                its own if not given.

        Raises:
            ValueError: if one is missing, or they are not of one length.
        """
        missing = [name for name in self.columns[1:] if name not in columns]
        if missing:
            raise ValueError(f"a tally of {', '.join(self.ratios)} needs the columns {', '.join(missing)}.")
        values = [columns[name].detach().to(self.sums) for name in self.columns[1:]]
        if any(value.shape != (len(values[0]),) for value in values):
            raise ValueError(f"columns need one length, got {[tuple(value.shape) for value in values]}.")
        table = torch.stack([torch.ones_like(values[0]), *values], 1)
        if clusters is None:
            clusters = self.rows + torch.arange(len(table))
        if clusters.shape != (len(table),) or clusters.dtype.is_floating_point:
            raise ValueError(
                f"clusters must be {len(table)} integers, one a row, "
                f"got {clusters.dtype} of shape {tuple(clusters.shape)}."
            )
        self.sums.index_add_(0, clusters.to(self.sums.device) % len(self.sums), table)

    def compute(self) -> dict[str, float]:
        """The metrics over all rows."""
        return dict(zip(self.ratios, self._ratios(self.sums.sum(0)).tolist(), strict=True))

    def intervals(self, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Percentile bootstrap intervals of the metrics; the same for the same seed.

        Args:
            level: the share of resamples inside.
            resamples: how many.
            seed: of the draws.
        """
        drawn = [self._ratios(weights @ self.sums) for weights in self._weights(resamples, seed)]
        return _percentiles(torch.cat(drawn), self.ratios, level)

    def _ratios(self, sums: Tensor) -> Tensor:
        """`(..., columns)` -> `(..., metrics)`."""
        top, bottom = (
            sums[..., [self.columns.index(pair[side]) for pair in self.ratios.values()]] for side in (0, 1)
        )  # fmt: skip
        return torch.where(bottom > 0, top / bottom, self.empty)

    def _weights(self, resamples: int, seed: int) -> Iterator[Tensor]:
        """How often each bucket that holds rows is drawn, in as many draws: `(BLOCK, buckets)` at a time."""
        used = self.sums[:, 0].nonzero()[:, 0].cpu()
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, resamples, BLOCK):
            weights = torch.zeros(min(BLOCK, resamples - start), len(self.sums), dtype=torch.float64)
            if len(used):
                draws = torch.randint(len(used), (len(weights), len(used)), generator=generator)
                weights.scatter_add_(1, used[draws], torch.ones_like(draws, dtype=torch.float64))
            yield weights.to(self.sums.device)


def paired_differences(
    a: Tally, b: Tally, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """How much better b is than a on the same rows: difference of each metric, and its bootstrap interval.

    Both are resampled together, so what makes a row hard for both cancels: the interval is narrower than those of the
    two apart.

    Args:
        a, b: tallies of the same metrics over the same rows in the same order.
        level, resamples, seed: as in `Tally.intervals`.

    Returns:
        For each metric b - a, and the bounds of its interval.

    Raises:
        ValueError: if the metrics or the numbers of rows differ.

    >>> a, b = Tally({"acc": ("hits", "rows")}), Tally({"acc": ("hits", "rows")})
    >>> a.update({"hits": torch.tensor([1.0, 0.0, 0.0, 1.0])})
    >>> b.update({"hits": torch.tensor([1.0, 1.0, 1.0, 1.0])})
    >>> paired_differences(a, b)
    {'acc': (0.5, 0.0, 1.0)}
    """
    if a.ratios != b.ratios or not torch.equal(a.sums[:, 0], b.sums[:, 0]):
        raise ValueError(
            f"paired tallies need the same metrics over the same rows, got {a.rows} and {b.rows} rows of "
            f"{', '.join(a.ratios)} and {', '.join(b.ratios)}."
        )
    drawn = [b._ratios(weights @ b.sums) - a._ratios(weights @ a.sums) for weights in a._weights(resamples, seed)]
    before, after = a.compute(), b.compute()
    bounds = _percentiles(torch.cat(drawn), a.ratios, level)
    return {name: (after[name] - before[name], *bounds[name]) for name in a.ratios}


def _percentiles(values: Tensor, names: Ratios, level: float) -> dict[str, tuple[float, float]]:
    """The bounds that hold `level` of the `(resamples, metrics)` values."""
    tails = values.new_tensor([(1 - level) / 2, (1 + level) / 2])
    low, high = torch.quantile(values, tails, dim=0).tolist()
    return {name: (low[i], high[i]) for i, name in enumerate(names)}
