import shutil
from dataclasses import replace

import pytest
import torch

from talksplat.checkpoint import read_checkpoint
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer
from talksplat.subject_format.subject import read_subject
from talksplat.training.overview import overview
from talksplat.training.pose_refinement import PoseRefinement
from talksplat.training.run import TrainingRun, train
from talksplat.types import Gaussians
from tests.helpers.runs import small_config
from tests.helpers.tiny_subject import AUDIO_FILE, AUDIO_WIDTH, AUDIO_WINDOW
from tests.models.building import make_conditions


def refinement(frames: int = 30, held_out: int = 4, seed: int = 0) -> tuple[PoseRefinement, torch.Tensor]:
    viewmats = make_conditions(frames, seed=seed).viewmats
    poses = PoseRefinement()
    poses.setup(torch.arange(100, 100 + frames), viewmats, torch.arange(frames - held_out))
    return poses, viewmats


def awake(**options) -> tuple[PoseRefinement, torch.Tensor]:
    poses, viewmats = refinement(**options)
    torch.nn.init.normal_(poses.deltas, generator=torch.Generator().manual_seed(1))
    return poses, viewmats


def gaussians(frames: int, count: int = 12) -> Gaussians:
    g = torch.Generator().manual_seed(2)
    means = 0.5 * torch.randn(count, 3, generator=g)
    quats = torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=-1)
    scales, opacities = torch.full((count, 3), 0.1) * torch.tensor([1.0, 2.0, 3.0]), torch.full((count,), 0.8)
    colors = torch.rand(count, 3, generator=g)
    return Gaussians(*(part.expand(frames, *part.shape) for part in (means, quats, scales, opacities, colors)))


def test_it_starts_with_the_trackers_poses_and_leaves_held_out_frames_alone():
    poses, viewmats = refinement()
    assert torch.equal(poses.refine(viewmats, torch.arange(26)), viewmats)
    poses, viewmats = awake()
    refined = poses.refine(viewmats, torch.arange(26))
    assert torch.equal(refined[26:], viewmats[26:]) and not torch.allclose(refined[:26], viewmats[:26], atol=1e-4)


def test_what_the_avatar_can_take_up_is_removed():
    poses, viewmats = awake()
    corrections = poses.corrections() / poses.units
    assert corrections.mean(0).abs().max() < 1e-5
    nod = viewmats[:26, 1, 2]  # linear in the pose, to first order
    correlation = torch.corrcoef(torch.cat([nod[None], corrections.detach().T]))[0, 1:]
    plain = torch.corrcoef(torch.cat([nod[None], (poses.deltas.detach() + 5 * nod[:, None]).T]))[0, 1:]
    assert correlation.abs().max() < 0.15 < plain.abs().min()


def test_moving_the_gaussians_is_moving_the_camera():
    poses, viewmats = awake()
    ids, conditions = torch.tensor([103, 120]), make_conditions(2)
    refined = poses.refine(viewmats, torch.arange(26))
    head = gaussians(2)
    draw = TorchRasterizer()
    one = draw(poses(head, ids), viewmats[[3, 20]], conditions.Ks, 48, 48).image
    other = draw(head, refined[[3, 20]], conditions.Ks, 48, 48).image
    assert torch.allclose(one, other, atol=1e-4)


def test_gradients_reach_the_corrections_and_the_penalty_pulls_them_back():
    poses, viewmats = awake()
    conditions = make_conditions(1)
    TorchRasterizer()(
        poses(gaussians(1), torch.tensor([105])), viewmats[5:6], conditions.Ks, 32, 32
    ).image.sum().backward()
    assert torch.isfinite(poses.deltas.grad).all()
    before = poses.penalty().item()
    optimizer = torch.optim.SGD([poses.deltas], lr=100.0)
    for _ in range(20):
        optimizer.zero_grad()
        poses.penalty().backward()
        optimizer.step()
    assert poses.penalty().item() < 0.7 * before


def test_corrections_bend_between_consecutive_frames_only():
    viewmats = make_conditions(12, seed=1).viewmats
    ids = torch.cat([torch.arange(6), torch.arange(100, 106)])
    poses = PoseRefinement(weight=0.0, smoothness=1.0)
    poses.setup(ids, viewmats, torch.arange(12))
    assert poses.consecutive.tolist() == [True] * 4 + [False] * 2 + [True] * 4
    poses.gauge.zero_()
    with torch.no_grad():
        poses.deltas[6:] += 1.0  # two stretches, each without a bend
    assert poses.penalty() == 0
    with torch.no_grad():
        poses.deltas[3] += 1.0
    assert poses.penalty() > 0


def test_negative_weights_are_refused():
    with pytest.raises(UserError, match="pose_refinement"):
        PoseRefinement(weight=-1.0)


def test_a_run_keeps_refined_poses_and_measures_held_out_frames_with_fitted_ones(tiny_subject, tmp_path):
    config = small_config(tiny_subject, "pose_refinement=gauged", "evaluation.align_steps=3")
    metrics = train(config, tmp_path / "run")
    subject = read_checkpoint(tmp_path / "run")["talksplat"]["subject"]
    tracked = torch.as_tensor(read_subject(tiny_subject, [AUDIO_FILE], AUDIO_WIDTH, AUDIO_WINDOW).viewmats)
    assert not torch.equal(subject["viewmats"][subject["train"]], tracked[subject["train"]])
    assert torch.equal(subject["viewmats"][subject["test"]], tracked[subject["test"]])
    assert metrics["aligned"]["psnr_composite"] >= metrics["mean"]["psnr_composite"] - 1e-3
    assert set(metrics["aligned"]["frames"]) == {frame["frame_id"] for frame in metrics["frames"]}
    # a new process takes the corrections of the finished stage and measures the same
    shutil.rmtree(tmp_path / "run" / "test")
    (tmp_path / "run" / "metrics.json").unlink()
    again = train(
        small_config(tiny_subject, "pose_refinement=gauged", "evaluation.align_steps=3", "resume=true"),
        tmp_path / "run",
    )
    assert again["train"]["mean"] == metrics["train"]["mean"]


@pytest.mark.parametrize(
    ("overrides", "rate"),
    [
        ([], "0.02 to 0.002"),
        (["stage.stages.fine.train=[face.means]"], "0.02 to 0.002"),  # trained whatever `train` says
        (["stage.stages.fine.learning_rates.poses=[0.5]"], "0.5"),
        (["pose_refinement=none"], None),
    ],
)
def test_a_dry_run_shows_the_corrections_that_are_trained(tiny_subject, tmp_path, overrides, rate):
    fixed = ["stage.stages.fine.density=null", "stage.stages.coarse.density=null", "pose_refinement=gauged"]
    run = TrainingRun(small_config(tiny_subject, *fixed, *overrides), tmp_path / "run")
    text = overview(run.plan, run.model, run.table, "mel", 1)
    coarse, fine = text.split("stage fine")
    lines = [[line.split() for line in part.splitlines() if line.split()[:1] == ["poses"]] for part in (coarse, fine)]
    if rate is None:
        assert lines == [[], []]
    else:
        count = run.poses.deltas.numel()
        assert lines[1] == [["poses", "poses", *rate.split(), f"{count:,}"]] and len(lines[0]) == 1
    size = sum(parameter.numel() for parameter in run.model.parameters())
    assert f"{size:,} parameters" in coarse  # of the avatar, to which they do not belong


def test_too_few_frames_to_tell_corrections_from_the_avatar():
    with pytest.raises(UserError, match="needs 10 training frames, not 6"):
        refinement(frames=8, held_out=2)


def test_the_frame_store_moves_with_the_poses(tiny_subject):
    subject = read_subject(tiny_subject, [AUDIO_FILE], AUDIO_WIDTH, AUDIO_WINDOW)
    store = FrameStore(subject, motion_lags=[0.1])
    other = subject.viewmats.copy()
    other[::2, 0, 3] += 0.1
    before = store.conditions(torch.arange(4), "cpu").motion
    store.use_poses(other)
    fresh = FrameStore(replace(subject, viewmats=other), motion_lags=[0.1])
    after, expected = (s.conditions(torch.arange(4), "cpu") for s in (store, fresh))
    assert torch.equal(after.motion, expected.motion) and torch.equal(after.viewmats, expected.viewmats)
    assert not torch.equal(after.motion, before)
