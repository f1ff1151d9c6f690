"""Functions that configuration files call as `${name:...}`."""

from __future__ import annotations

from functools import cache
from secrets import token_hex

from omegaconf import DictConfig, OmegaConf

NO_TOKENS = ("network", "position_code")  # what stands among the tokens of a model and is none


def num_tokens(tokens: DictConfig) -> int:
    """Number of condition tokens that `model.tokens` leaves switched on."""
    on = {name for name, node in tokens.items() if isinstance(node, DictConfig)} - set(NO_TOKENS)
    return len(on) - ("lips" in on and tokens.lips.prior is None)


@cache
def unique() -> str:
    """Word of this process alone, for names that two processes of one second must not share."""
    return token_hex(4)


def register_resolvers() -> None:
    """Make them known to OmegaConf."""
    OmegaConf.register_new_resolver("num_tokens", num_tokens, replace=True)
    OmegaConf.register_new_resolver("sum", lambda *numbers: sum(numbers), replace=True)
    OmegaConf.register_new_resolver("share", lambda part, whole: round(part * whole), replace=True)
    OmegaConf.register_new_resolver("unique", unique, replace=True)
