"""Composing and checking configurations."""

from talksplat.config.compose import CONF_DIR, compose, finish_config, hydra_choices, to_yaml
from talksplat.config.from_files import trusted_by
from talksplat.config.resolvers import register_resolvers
from talksplat.config.targets import instantiate

__all__ = ["CONF_DIR", "compose", "finish_config", "hydra_choices", "instantiate", "to_yaml", "trusted_by"]

register_resolvers()
