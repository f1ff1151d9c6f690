"""Which parameters of an avatar learn together."""

from __future__ import annotations

from torch import nn

from talksplat.errors import UserError
from talksplat.models.talking_head import TalkingHead


def parameter_groups(model: TalkingHead) -> dict[str, list[nn.Parameter]]:
    """Parameters besides the Gaussians' own: "networks", "triplane", and "audio_backbone" for the layers of a speech model
    that are not frozen.

    Raises:
        UserError: a parameter belongs to none, and would never be trained.
    """
    modules = [*model.canonical_modules(), *model.deform_modules()]
    speech = [] if model.speech_encoder is None else list(model.speech_encoder.backbone.parameters())
    known = {id(parameter) for parameter in speech}
    networks = [parameter for module in modules for parameter in module.parameters() if id(parameter) not in known]
    groups = {"networks": networks, "triplane": list(model.triplane.parameters())}
    opened = [parameter for parameter in speech if parameter.requires_grad]
    listed = {
        id(parameter) for group in (*groups.values(), speech, model.gaussians.parameters()) for parameter in group
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in listed:
            raise UserError(
                f"{type(model).__name__}.{name} would never be trained: its module is neither in canonical_modules() nor in "
                "deform_modules()"
            )
    return {**groups, "audio_backbone": opened} if opened else groups


def unfreeze_audio_layers(model: TalkingHead, count: int) -> None:
    """Train the last `count` layers of the speech model inside, and freeze the others.

    Raises:
        UserError: there is no speech model, or it has fewer layers.
    """
    if model.speech_encoder is not None:
        model.speech_encoder.unfreeze(count)
    elif count:
        raise UserError(
            f"unfreeze_audio_layers={count}, but this avatar listens to features made beforehand: choose "
            "experiment=finetune_speech, whose model has a speech model inside"
        )
