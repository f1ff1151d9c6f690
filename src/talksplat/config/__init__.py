"""Composing and checking configurations."""

from talksplat.config.chosen import chosen_of
from talksplat.config.compose import CONF_DIR, compose, finish_config, to_yaml
from talksplat.config.resolvers import register_resolvers
from talksplat.config.targets import instantiate

__all__ = ["CONF_DIR", "chosen_of", "compose", "finish_config", "instantiate", "to_yaml"]

register_resolvers()
