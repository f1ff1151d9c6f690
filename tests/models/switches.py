"""The switches of the models and what each may change: the table of `test_switches`."""

from __future__ import annotations

from dataclasses import dataclass

MIXER = "cross_attention.layers.0.mixer"
NETWORKS = "tokens.networks"
AGENTS = ("model.cross_attention.mixer.num_agents=7", "model.cross_attention.mixer.agent_share=null")
POSITION_CODE = "{_target_: talksplat.models.conditioning.position_code.PeriodicPositionCode, width: 64}"
NO_PRIOR = ("model.reach=null",)


@dataclass(frozen=True)
class Switch:
    """`overrides` change `keys` (below "model.", or from the root with a slash in front; a node stands for all below
    it), `parts` of the state dict and what `shown` names: "deform" or "canonical" in evaluation, "training" in training
    alone, "" nowhere, "fresh" what has other start values and is the same with equal weights."""

    name: str
    overrides: tuple[str, ...]
    keys: tuple[str, ...]
    parts: tuple[str, ...] = ()
    shown: str = "deform"
    base: tuple[str, ...] = ()


PLACES = {  # of the parts in the avatar of one layer
    "gaussians": "layers.face.gaussians",
    "triplane": "layers.face.triplane",
    "canonical": "layers.face.canonical",
    "tokens": "shared.tokens",
    "cross_attention": "layers.face.deformation.cross_attention",
    "deformation": "layers.face.deformation.heads",
    "motion": "layers.face.deformation.motion",
    "expression": "layers.face.deformation.expression",
    "reach": "layers.face.deformation.reach",
}


def placed(part: str) -> str:
    """Name in the state dict."""
    first, _, rest = part.partition(".")
    return ".".join(filter(None, (PLACES[first], rest)))


def switch(name, override, keys, parts="", shown="deform", base=()):
    return Switch(name, tuple(override.split()), tuple(keys.split()), tuple(map(placed, parts.split())), shown, base)


def mixer(override, parts="", shown="deform", base=()):
    """A setting of the agents."""
    key = override.split("=")[0]
    return switch(
        "egstalker", f"model.cross_attention.mixer.{override}", f"cross_attention.mixer.{key}", parts, shown, base
    )


def plain(name, override, parts="", shown="deform", base=()):
    """An override of one key."""
    key = override.split("=")[0].lstrip("+")
    return switch(name, f"model.{override}", key, parts, shown, base)


G, E = "gaussiantalker", "egstalker"
EVERYTHING = "canonical.factors=[scales,quats,opacities,sh]"
HEADS = "deformation.heads.hidden deformation.heads.outputs"
SWITCHES = [
    # how the tokens reach the Gaussians
    switch(G, "model/attention=agents", "cross_attention.mixer", MIXER),
    switch(G, "model/attention=concatenation", "cross_attention.mixer", MIXER),
    switch(G, "model/attention=elementwise", "cross_attention.mixer", MIXER),
    switch(E, "model/attention=mha", "cross_attention.mixer", MIXER),
    plain(G, "cross_attention.mixer.num_heads=4"),
    mixer("selection=first", base=AGENTS),
    mixer("num_agents=20", base=AGENTS),
    switch(
        E,
        "model.cross_attention.mixer.num_agents=null model.cross_attention.mixer.agent_share=0.2",
        "cross_attention.mixer.num_agents cross_attention.mixer.agent_share",
        base=AGENTS,
    ),
    mixer("scale_heads=16", base=AGENTS),
    mixer("computation=two_step", shown="", base=(*AGENTS, *NO_PRIOR)),
    plain(G, "cross_attention.num_layers=2", "cross_attention.layers.1"),
    plain(G, "cross_attention.ffn_width=64", "cross_attention.layers.0.ffn"),
    plain(G, "cross_attention.normalize_queries=false", "cross_attention.query_norm"),
    plain(G, "cross_attention.norm_eps=0.1"),
    plain(G, "cross_attention.dropout=0.5", shown="training"),
    # the tokens
    switch(G, "model/token_network=kan", "tokens.network", NETWORKS),
    switch(E, "model/token_network=mlp", "tokens.network", NETWORKS),
    plain(G, "tokens.network.bias=true", NETWORKS),
    *(plain(E, f"tokens.network.order={order}", NETWORKS) for order in (1, 2, 5)),
    plain(E, "tokens.network.basis=chebyshev"),
    plain(E, "tokens.network.basis=fourier", NETWORKS),
    switch(G, f"model.tokens.position_code={POSITION_CODE}".replace(" ", ""), "tokens.position_code"),
    plain(E, "tokens.position_code=null"),
    plain(E, "tokens.position_code.axis=time"),
    plain(E, "tokens.position_code.period=2"),
    plain(E, "tokens.position_code.dropout=0.5", shown="training"),
    *(plain(G, f"tokens.{name}=null", f"tokens.sources.{name} {NETWORKS}.{name}") for name in ("audio", "camera")),
    plain(E, "tokens.eye=null", f"{NETWORKS}.eye"),
    plain(G, "tokens.null_token=null", "tokens.sources.null"),
    plain(G, "tokens.null_token.init_std=1.0", shown="fresh"),
    plain(G, "tokens.eye.frequency=multiply"),
    plain(G, "tokens.eye.features=16", f"{NETWORKS}.eye"),
    switch(
        G,
        "model.tokens.camera.normalize=false model.tokens.camera.limit=null model.tokens.camera.noise=0",
        "tokens.camera.normalize tokens.camera.limit tokens.camera.noise",
    ),
    plain(G, "tokens.camera.min_std=1.0"),
    plain(G, "tokens.camera.limit=0.1"),
    plain(G, "tokens.camera.noise=1.0", shown="training"),
    plain(G, "tokens.audio.encoder.smoothing=false", "tokens.sources.audio.encoder.smoothing"),
    plain(G, "tokens.audio.encoder.normalize=false"),
    plain(G, "tokens.audio.encoder.channels=32", "tokens.sources.audio.encoder"),
    plain(G, "tokens.audio.encoder.center_bias=0.0", shown="fresh"),
    plain(G, "tokens.audio.encoder.he_init=false", shown="fresh"),
    # tri-plane, canonical head, deformation
    switch(G, "model/triplane=hash", "triplane", "triplane"),
    plain(G, "triplane.margin=2.0"),
    plain(
        G,
        "triplane.resolutions=[32]",
        "triplane.planes",
        base=("model.triplane.channels=64", "model.triplane.resolutions=[64]"),
    ),
    plain(G, "triplane.init_resolution=null", shown="fresh"),
    plain(G, "canonical.factors=[opacities]", "canonical.heads", "canonical"),
    plain(G, "canonical.factors=[]", "canonical", "canonical"),
    plain(G, EVERYTHING, "canonical.heads", "canonical"),
    plain(G, "canonical.hidden=32", "canonical", "canonical"),
    plain(G, "canonical.output_gain=1.0", shown="fresh"),
    switch(
        G,
        "model/canonical=kan",
        "canonical._target_ canonical.hidden canonical.basis canonical.order",
        "canonical",
        "canonical",
    ),
    switch(
        E, "model/deformation=kan", "deformation._target_ deformation.hidden deformation.basis deformation.order", HEADS
    ),
    plain(E, "deformation.order=2", HEADS, base=("model/deformation=kan",)),
    plain(E, "deformation.basis=chebyshev", base=("model/deformation=kan",)),
    plain(E, "deformation.hidden=16", HEADS, base=("model/deformation=kan",)),
    plain(E, "deformation.output_gain=0.1", shown="fresh", base=("model/deformation=kan",)),
    plain(G, "deformation.attributes=[means,opacities]", HEADS),
    plain(G, "deformation.output_gain=0.1", shown="fresh"),
    switch(
        G,
        "model.gaussians.sh_degree=1",
        "gaussians.sh_degree canonical.sh_degree deformation.sh_degree",
        "gaussians.params.shN canonical.heads.outputs.sh deformation.heads.outputs.sh",
    ),
    plain(G, "gaussians.initial_opacity=0.5", shown="fresh"),
    plain(G, "max_points=100", shown=""),
    # what is linear in motion and expression, and the prior
    plain(G, "motion=null", "motion"),
    plain(G, "motion.kind=follow", "motion.network"),
    switch(
        G,
        "dataset.action_units=[AU01_r]",
        "/dataset.action_units /dataset.loader.action_units expression.units",
        "expression",
    ),
    switch(G, "model.expression=null", "expression", "expression", base=("dataset.action_units=[AU01_r]",)),
    plain(G, "reach=null", "reach"),
    plain(G, "unit_dropout=0.2", shown="training"),
    plain(G, "reach.inner=0.1"),
    plain(G, "reach.width=1.0"),
    switch(
        G,
        "model.tokens.expression={_target_:talksplat.models.conditioning.expression.ExpressionToken,units:[AU01_r]}",
        "tokens.expression",
        f"{NETWORKS}.expression",
        base=("dataset.action_units=[AU01_r]",),
    ),
    # another model
    switch(
        G,
        "model=static",
        "_target_ tokens cross_attention deformation motion expression reach unit_dropout",
        "tokens cross_attention deformation motion reach",
    ),
    switch(
        G,
        "model=egstalker",
        "_target_ tokens.network cross_attention.mixer tokens.position_code",
        f"{NETWORKS} {MIXER}",
    ),
]
