"""How a cloud of Gaussians moves: positions, rotations and scales at any time.

Local motion (a shift, a turn and a growth) is carried by control nodes that Gaussians follow
(Sumner, Schmid and Pauly 2007) or by every Gaussian itself; on top the cloud as a whole turns and
moves. All three change in every render. At t = 0 everything is exactly where it rests, by
construction and at all times of training.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, normalize

from animate124.gaussians.cloud import Cloud
from animate124.gaussians.graph import neighbour_edges, spread_nodes, surface_graph
from animate124.gaussians.tracks import HexPlanes, Keys
from animate124.gaussians.turns import less_identity, multiply
from animate124.settings.reconstruct import MotionSettings

# Channels of local motion: shift (3), quaternion less the identity (4), growth of log scales (1).
LOCAL = (3, 4, 1)
TURN = 3


@dataclass(frozen=True, eq=False)
class Binding:
    """What moves by itself and who follows it; computed once, on the rest cloud.

    points [P, 3]: where the nodes (or the Gaussians) rest. edges [E, 2] int64: directed, between
    neighbours along the surface. skin [N, S] int64, weights [N, S]: the nodes that carry each
    Gaussian; both empty where each moves by itself. centre [3]: what the whole turns about.
    """

    points: Tensor
    edges: Tensor
    skin: Tensor
    weights: Tensor
    centre: Tensor


def bind(cloud: Cloud, settings: MotionSettings) -> Binding:
    """The binding of a cloud that `settings` ask for, on the cloud's device."""
    if settings.carrier == "nodes":
        nodes = spread_nodes(cloud, settings.nodes)
        index, edges, skin = map(torch.from_numpy, (nodes.index, nodes.edges, nodes.skin))
        points, weights = cloud.positions.cpu()[index], torch.from_numpy(nodes.weights).float()
    else:
        points, edges = cloud.positions, torch.from_numpy(neighbour_edges(surface_graph(cloud)))
        skin, weights = torch.zeros(0, 0, dtype=torch.int64), torch.zeros(0, 0)
    found = points, edges, skin, weights, cloud.positions.mean(0)
    return Binding(*(t.detach().clone().to(cloud.positions.device) for t in found))


class Motion(nn.Module):
    """The motion of one cloud; its binding's tensors are buffers of the same names."""

    def __init__(
        self,
        binding: Binding,
        settings: MotionSettings,
        frames: int,
        loop: bool,
        generator: torch.Generator | None = None,
    ) -> None:
        """frames: keys in time (of hex-planes: moments of the finer level), ≥ 2; loop: t = 1 is
        t = 0. generator: draws what does not start at 0 (hex-planes)."""
        super().__init__()
        if frames < 2:
            raise ValueError(f"a motion needs at least two frames, got {frames}")
        self.settings, self.keyframes, self.loop = settings, frames, loop
        for field in fields(binding):
            self.register_buffer(field.name, getattr(binding, field.name))
        if settings.kind == "keys":
            self.local = Keys(frames, len(self.points), sum(LOCAL), loop, TURN)
        else:
            coarse = settings.cells, max(frames // 2, 2)
            levels = coarse, (2 * settings.cells, frames)
            generator = generator or torch.Generator().manual_seed(0)
            self.local = HexPlanes(self.points.cpu(), LOCAL, loop, levels, generator)
        self.shift = Keys(frames, 1, 3, loop) if settings.whole else None
        self.turn = Keys(frames, 1, 4, loop, turn=0) if settings.whole else None
        self.to(self.points.device)

    def times(self) -> Tensor:
        """The moments [F] in [0, 1] of its frames, on the CPU."""
        return torch.arange(self.keyframes) / (self.keyframes - (not self.loop))

    def parts(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Local shifts [T, P, 3], unit quaternions [T, P, 4] and growths [T, P, 1]."""
        return _parts(self.local(times))

    def whole(self, times: Tensor) -> tuple[Tensor, Tensor] | None:
        """Shifts [T, 1, 3] and unit quaternions [T, 1, 4] of the whole; None where it has none."""
        if self.turn is None:
            return None
        raw = self.turn(times)
        return self.shift(times), normalize(raw + _identity(raw), dim=-1)

    def frames(
        self,
        cloud: Cloud,
        times: Tensor,
        parts: tuple[Tensor, Tensor, Tensor] | None = None,
        whole: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Positions [T, N, 3], rotations [T, N, 4] and scales [T, N, 3] at times [T] in [0, 1].

        parts: those of the same times, if they are known already. whole: another motion of the
        whole than its own.
        """
        shift, turn, growth = self.parts(times) if parts is None else parts
        rest = cloud.positions
        if self.settings.carrier == "nodes":
            shift, turn, growth = self._carried(rest, shift, turn, growth)
        positions, rotations = rest + shift, turn
        whole = self.whole(times) if whole is None else whole
        if whole is not None:
            shift, turn = whole
            about = positions - self.centre
            moved = torch.einsum("tij,tnj->tni", less_identity(turn[:, 0]), about)
            positions = positions + moved + shift
            rotations = multiply(turn, rotations)
        return positions, multiply(rotations, cloud.rotations), cloud.scales * growth.exp()

    def _carried(
        self, rest: Tensor, shift: Tensor, turn: Tensor, growth: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Shifts, quaternions and growths of the Gaussians from those of the nodes.

        Every node moves a point x to x + (R − I)(x − g) + shift; the weighted mean over its
        carriers is one affine map a Gaussian.
        """
        times, nodes = shift.shape[:2]
        matrix = less_identity(turn)
        offset = shift - torch.einsum("tkij,kj->tki", matrix, self.points)
        turn = turn - _identity(turn)
        table = torch.cat([matrix.flatten(2), offset, turn, growth], -1)
        table = table.transpose(0, 1).reshape(nodes, -1)
        mixed = embedding_bag(self.skin, table, per_sample_weights=self.weights, mode="sum")
        mixed = mixed.reshape(len(rest), times, -1).transpose(0, 1)
        matrix, offset, turn, growth = mixed.split((9, 3, 4, 1), -1)
        moved = (matrix.unflatten(-1, (3, 3)) * rest[:, None, :]).sum(-1) + offset
        return moved, normalize(turn + _identity(turn), dim=-1), growth

    def tables(self) -> list[Keys]:
        """What is stored by frames: the local motion unless it is on hex-planes, the whole's."""
        return [t for t in (self.local, self.shift, self.turn) if isinstance(t, Keys)]

    @torch.no_grad()
    def set_whole(self, frame: int, shift: Tensor, quaternion: Tensor) -> None:
        """Let the whole be shifted [3] and turned by a unit quaternion [4] at a frame > 0."""
        self.shift.keys[frame - 1].copy_(shift)
        self.turn.keys[frame - 1].copy_(quaternion - _identity(quaternion))


def amplitude(rest: Tensor, moved: Tensor) -> Tensor:
    """How much moves: root mean square distance, world units, of moved [T, N, 3] from rest
    [N, 3]; a scalar."""
    return (moved - rest).square().sum(-1).mean().sqrt()


def _identity(quaternion: Tensor) -> Tensor:
    return quaternion.new_tensor([1.0, 0.0, 0.0, 0.0])


def _parts(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    turn = raw[..., TURN : TURN + 4]
    return raw[..., :TURN], normalize(turn + _identity(turn), dim=-1), raw[..., TURN + 4 :]
