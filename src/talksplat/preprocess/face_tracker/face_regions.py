"""Which of MediaPipe's 478 face landmarks move with the skull, and which with the expression."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

NOSE_TIP, NOSE_BASE, CHIN, FOREHEAD = 1, 2, 152, 10
LEFT_PUPIL, RIGHT_PUPIL = 473, 468  # the subject's left, which a frontal image shows at the right
LEFT_EYE_OUTER, RIGHT_EYE_OUTER = 263, 33

# Around the face from the forehead's middle over the subject's left cheek to the chin, and back.
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
INNER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIPS = (
    *(0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191),
    *(267, 269, 270, 291, 308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415),
)
LEFT_EYE = (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466)
RIGHT_EYE = (7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246)
EYE_CORNERS = (33, 133, 263, 362)
BROWS = (276, 282, 283, 285, 293, 295, 296, 300, 334, 336, 46, 52, 53, 55, 63, 65, 66, 70, 105, 107)
IRISES = tuple(range(468, 478))

LID_REACH = 0.09  # dm; skin so near to an eye's outline moves with the lid


def pose_weights(mesh: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, " 478"]:
    """Weight of each landmark in the head pose, for a canonical mesh in dm (y up).

    1 for forehead, nose and cheekbones; 0 for everything that speech and expression move: even small weights of many
    lips' and jaw's landmarks make a head that keeps still nod with its words. 0 for the outline as well, which slides
    over the skin as the head turns.
    """
    weights = np.ones(len(mesh))
    below_nose = mesh[:, 1] < mesh[NOSE_BASE, 1] + 0.02
    eyes = list(set(LEFT_EYE + RIGHT_EYE) - set(EYE_CORNERS))
    near_lids = np.linalg.norm(mesh[:, None] - mesh[eyes][None], axis=-1).min(1) < LID_REACH
    near_lids[list(EYE_CORNERS)] = False
    brows = np.linalg.norm(mesh[:, None] - mesh[list(BROWS)][None], axis=-1).min(1) < LID_REACH
    weights[below_nose | near_lids | brows] = 0.0
    weights[list(LIPS + IRISES + FACE_OVAL)] = 0.0
    return weights


def rigid_mask(mesh: Float[np.ndarray, "478 3"]) -> Bool[np.ndarray, " 478"]:
    """Landmarks that move with the skull: those that `pose_weights` counts."""
    return pose_weights(mesh) > 0
