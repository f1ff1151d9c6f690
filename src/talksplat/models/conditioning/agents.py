"""Efficient Spatial-Audio Attention: two-step attention, Gaussians to agents to condition tokens (EGSTalker)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from talksplat.errors import UserError
from talksplat.models.conditioning.fusion import ConditionFusion

SELECTIONS = ("pooled", "first")
COMPUTATIONS = ("fused", "two_step")
CURVE_BITS = 16  # per axis: cells of a 65,536th of the head's box
SPREAD = (  # shifts and masks that put two zeros before each of those bits
    (16, 0x001F_0000_FF00_00FF),
    (8, 0x100F_00F0_0F00_F00F),
    (4, 0x10C3_0C30_C30C_30C3),
    (2, 0x1249_2492_4924_9249),
)


class AgentAttention(ConditionFusion):
    """Attention through a few agents, without projections of queries, keys and values.

    With queries Q [N, d], tokens T and agents A = Linear(summaries of Q) [n, d]: S = softmax(s A T^T) [n, T] are the
    attention weights of the agents on the tokens, P = softmax(s Q A^T) [N, n] those of the Gaussians on the agents. The
    published order is P (S T). Matrix products are associative, so this equals (P S) T, where W = P S [N, T] are weights
    of each Gaussian on the tokens: rows sum to one, and P does not depend on the conditions.

    Args:
        width: of features and tokens.
        num_agents: n; original 200. null: take `agent_share`.
        agent_share: n as a share of the Gaussians, e.g. 0.005. null: take `num_agents`.
        selection: "pooled" summarises the Gaussians by averages over equal groups along a space-filling curve, so that
            agents are regions of the head, independent of the order of storage; "first" (original) takes the first n
            Gaussians in storage order, which density control changes.
        scale_heads: s = (width / scale_heads)^-1/2; original 16, which affects only this scale.
        computation: "fused" multiplies (P S) first, "two_step" as published; same result.

    Raises:
        UserError: not exactly one of num_agents and agent_share, or a value out of range.
    """

    def __init__(
        self,
        width: int,
        num_agents: int | None = 200,
        agent_share: float | None = None,
        selection: str = "pooled",
        scale_heads: int = 1,
        computation: str = "fused",
    ):
        super().__init__()
        if (num_agents is None) == (agent_share is None):
            raise UserError(
                f"cross_attention.mixer: give num_agents or agent_share and set the other to null "
                f"(num_agents={num_agents}, agent_share={agent_share})"
            )
        if num_agents is not None and num_agents < 1:
            raise UserError(f"cross_attention.mixer.num_agents={num_agents} must be at least 1")
        if agent_share is not None and not 0 < agent_share <= 1:
            raise UserError(f"cross_attention.mixer.agent_share={agent_share} must be above 0 and at most 1")
        if selection not in SELECTIONS or computation not in COMPUTATIONS:
            raise UserError(
                f"cross_attention.mixer: selection={selection!r} is one of {', '.join(SELECTIONS)}, "
                f"computation={computation!r} one of {', '.join(COMPUTATIONS)}"
            )
        if scale_heads < 1 or width % scale_heads:
            raise UserError(f"cross_attention: width={width} must be a multiple of mixer.scale_heads={scale_heads}")
        self.num_agents, self.agent_share = num_agents, agent_share
        self.selection, self.computation = selection, computation
        self.scale = (width / scale_heads) ** -0.5
        self.takes_prior = computation == "fused"
        self.agents = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.agents.weight)

    def count(self, num_gaussians: int) -> int:
        """Number of agents for `num_gaussians`."""
        wanted = self.num_agents if self.agent_share is None else round(self.agent_share * num_gaussians)
        return min(max(wanted, 1), num_gaussians)

    def prepare(
        self, queries: Float[Tensor, "*frame gaussian width"], means: Float[Tensor, "gaussian 3"]
    ) -> tuple[Float[Tensor, "*frame agent width"], Float[Tensor, "*frame gaussian agent"]]:
        """Agents A, and the weights P of each Gaussian on them."""
        agents = self.agents(self._summaries(queries, means))
        return agents, torch.softmax(self.scale * (queries @ agents.mT), dim=-1)

    def forward(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: tuple[Tensor, Tensor],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian width"]:
        """Mixtures of the tokens; see `ConditionFusion`."""
        agents, gaussian_weights = prepared
        if self.computation == "two_step":
            agent_values = self._agent_weights(agents, tokens) @ tokens.to(gaussian_weights.dtype)
            return gaussian_weights.to(agent_values.dtype) @ agent_values
        weights = self.weights(queries, prepared, tokens, prior)
        return weights @ tokens.to(weights.dtype)

    def weights(
        self,
        queries: Float[Tensor, "*frame gaussian width"],
        prepared: tuple[Tensor, Tensor],
        tokens: Float[Tensor, "frame token width"],
        prior: Float[Tensor, "gaussian token"] | None = None,
    ) -> Float[Tensor, "frame gaussian token"]:
        """W = P S; a prior multiplies the weights by its exponential, as adding it to logits does."""
        agents, gaussian_weights = prepared
        agent_weights = self._agent_weights(agents, tokens)
        if gaussian_weights.ndim == 2:  # P is shared by all frames: one product
            frames, _, count = agent_weights.shape
            weights = linear(gaussian_weights, agent_weights.mT.flatten(0, 1).to(gaussian_weights.dtype)).unflatten(
                -1, (frames, count)
            )
            weights = weights.transpose(0, 1)
        else:
            weights = gaussian_weights @ agent_weights.to(gaussian_weights.dtype)
        if prior is None:
            return weights
        weights = weights * (prior - prior.amax(dim=-1, keepdim=True)).exp().to(weights.dtype)
        return weights / weights.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)

    def _agent_weights(
        self, agents: Tensor, tokens: Float[Tensor, "frame token width"]
    ) -> Float[Tensor, "frame agent token"]:
        """S: attention weights of each agent on the tokens."""
        return torch.softmax(self.scale * (agents @ tokens.to(agents.dtype).mT), dim=-1)

    def _summaries(
        self, queries: Float[Tensor, "*frame gaussian width"], means: Float[Tensor, "gaussian 3"]
    ) -> Float[Tensor, "*frame agent width"]:
        count = self.count(queries.shape[-2])
        if self.selection == "first":
            return queries[..., :count, :]
        return group_means(queries, curve_order(means), count)


def group_means(
    rows: Float[Tensor, "*frame row width"], order: Int[Tensor, " row"], count: int
) -> Float[Tensor, "*frame group width"]:
    """Means over `count` groups of rows that are neighbours in `order`, as equal in size as can be."""
    total = rows.shape[-2]
    edges = torch.arange(count + 1, device=rows.device) * total // count
    places = edges[:-1, None] + torch.arange(-(-total // count), device=rows.device)
    inside = places < edges[1:, None]
    members = order[places.clamp_max(total - 1)]
    chosen = rows.index_select(-2, members.flatten()).unflatten(-2, members.shape) * inside[..., None]
    dtype = torch.promote_types(rows.dtype, torch.float32)  # sums of many rows
    return (chosen.sum(-2, dtype=dtype) / inside.sum(1, keepdim=True)).to(rows.dtype)


@torch.no_grad()
def curve_order(points: Float[Tensor, "point 3"]) -> Int[Tensor, " point"]:
    """Order of points along a Z-shaped space-filling curve (Morton 1966) through their box: neighbours in the order are
    near each other, and the order does not depend on how the points are stored."""
    low, high = points.amin(0), points.amax(0)
    cells = ((points - low) / (high - low).clamp_min(1e-9) * (2**CURVE_BITS - 1)).long()
    for shift, mask in SPREAD:
        cells = (cells | cells << shift) & mask
    x, y, z = cells.unbind(1)
    return (x | y << 1 | z << 2).argsort(stable=True)
