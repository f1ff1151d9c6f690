import torch

from talksplat.geometry.cameras import viewmat_from_euler_trans
from talksplat.geometry.head_motion import head_motion, lagging_poses, relative_motion


def poses(count: int, seed: int = 0, turn: float = 0.02) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    euler = turn * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    trans = torch.tensor([0.1, 0.2, -9.0], dtype=torch.float64) + turn * torch.randn(
        count, 3, generator=generator, dtype=torch.float64
    )
    return viewmat_from_euler_trans(euler, trans)


def test_relative_motion_takes_points_to_where_the_reference_pose_has_them():
    now, before = poses(5, seed=1), poses(5, seed=2)
    motion = relative_motion(now, before)
    point = torch.tensor([0.5, -1.2, 0.3], dtype=torch.float64).expand(5, 3)
    moved = point + torch.linalg.cross(motion[:, :3], point) + motion[:, 3:]

    def in_camera(viewmats, points):
        return torch.einsum("fij,fj->fi", viewmats[:, :3, :3], points) + viewmats[:, :3, 3]

    error = (in_camera(now, moved) - in_camera(before, point)).norm(dim=-1)
    assert error.max() < 0.1 * (in_camera(now, point) - in_camera(before, point)).norm(dim=-1).min()


def test_a_resting_head_has_no_motion():
    still = poses(1).repeat(6, 1, 1)
    assert torch.equal(head_motion(still, torch.arange(6) / 25, [0.1, 0.5]), torch.zeros(6, 2, 6, dtype=torch.float64))


def test_followers_approach_a_jump_exponentially_also_over_gaps():
    start, end = poses(2, seed=3)
    times = torch.tensor([0.0, 0.1, 0.2, 0.5])
    followed = lagging_poses(torch.stack([start, end, end, end]), times, [0.2])[:, 0]
    for pose, time in zip(followed, times):
        assert torch.allclose(pose, end + (start - end) * torch.exp(-time.double() / 0.2), atol=1e-6)


def test_no_lags_give_an_empty_axis():
    assert head_motion(poses(4), torch.arange(4.0), []).shape == (4, 0, 6)
