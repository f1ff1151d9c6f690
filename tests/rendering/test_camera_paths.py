from __future__ import annotations

import numpy as np
import pytest
import torch

from talksplat.errors import UserError
from talksplat.geometry.cameras import camera_centers, project, viewmat_from_euler_trans
from talksplat.rendering.camera_paths import Cycle, Orbit, Static, longest_run, ping_pong


def poses(count: int) -> np.ndarray:
    turn = torch.linspace(-0.3, 0.3, count)
    euler = torch.stack([0 * turn, turn, 0 * turn], -1)
    return viewmat_from_euler_trans(euler, torch.tensor([[0.1, 0.2, -10.0]]).expand(count, 3)).numpy()


def test_ping_pong_is_endless_and_never_jumps():
    index = ping_pong(1000, slice(3, 8))
    assert index[:10].tolist() == [3, 4, 5, 6, 7, 6, 5, 4, 3, 4]
    assert set(np.abs(np.diff(index)).tolist()) == {1}
    assert ping_pong(3, slice(4, 5)).tolist() == [4, 4, 4]
    assert len(ping_pong(0, slice(0, 5))) == 0


def test_longest_run_ends_at_gaps():
    assert longest_run(np.array([0, 1, 2, 4, 5])) == slice(0, 5)  # one lost frame does no harm
    assert longest_run(np.array([0, 1, 50, 51, 52, 90])) == slice(2, 5)
    assert longest_run(np.array([7])) == slice(0, 1)


def test_cycle_shows_pose_torso_and_blink_of_the_same_frame():
    viewmats = poses(6)
    path = Cycle()(14, 25, np.arange(10, 16), viewmats)
    np.testing.assert_array_equal(path.positions, path.eyes)
    np.testing.assert_array_equal(path.viewmats, viewmats[path.positions])
    assert path.positions.tolist() == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1, 2, 3]


def test_cycle_stays_inside_one_stretch_of_the_clip():
    frame_ids = np.concatenate([np.arange(4), np.arange(100, 110)])
    path = Cycle()(50, 25, frame_ids, poses(14))
    assert path.positions.min() == 4 and path.positions.max() == 13


def test_static_blinks_but_does_not_move():
    viewmats = poses(7)
    path = Static()(20, 25, np.arange(7), viewmats)
    assert set(path.positions.tolist()) == {3}  # the middle of the swing is its mean
    np.testing.assert_array_equal(path.viewmats, np.repeat(viewmats[3:4], 20, 0))
    assert len(set(path.eyes.tolist())) == 7
    assert set(Static(5)(4, 25, np.arange(7), viewmats).positions.tolist()) == {5}
    with pytest.raises(UserError, match="camera.frame=99"):
        Static(99)(4, 25, np.arange(7), viewmats)


def test_orbit_turns_around_the_head_and_keeps_it_in_place():
    viewmats = poses(5)
    path = Orbit(degrees=20, period=2, frame=2)(101, 25, np.arange(5), viewmats)
    np.testing.assert_allclose(path.viewmats[[0, 50, 100]], viewmats[[2, 2, 2]], atol=1e-6)
    centers = camera_centers(torch.from_numpy(path.viewmats))
    azimuth = torch.rad2deg(torch.atan2(centers[:, 0], centers[:, 2]))
    swing = azimuth - azimuth[0]
    assert float(swing.abs().max()) == pytest.approx(20, abs=0.1)
    assert float(swing.max()) == pytest.approx(-float(swing.min()), abs=0.1)
    assert swing.diff().abs().max() < 20 * 2 * np.pi / 50 + 0.01  # smooth
    K = torch.tensor([[500.0, 0, 128], [0, 500, 128], [0, 0, 1]])
    pixels, _ = project(torch.zeros(101, 1, 3), torch.from_numpy(path.viewmats), K.expand(101, 3, 3))
    assert (pixels - pixels[0]).abs().max() < 1e-3
    assert set(path.positions.tolist()) == {2} and len(set(path.eyes.tolist())) == 5


def test_one_background_makes_the_camera_still():
    viewmats = poses(5)
    for camera in (Cycle(), Static(1), Orbit(frame=1)):
        path = camera.at(4)(10, 25, np.arange(5), viewmats)
        assert set(path.positions.tolist()) == {4} and len(set(path.eyes.tolist())) > 1
    assert isinstance(Orbit(30, 2).at(4), Orbit) and Orbit(30, 2).at(4).degrees == 30


@pytest.mark.parametrize("arguments, name", [({"degrees": 90}, "camera.degrees"), ({"period": 0}, "camera.period")])
def test_impossible_orbits_are_refused(arguments, name):
    with pytest.raises(UserError, match=name):
        Orbit(**arguments)
