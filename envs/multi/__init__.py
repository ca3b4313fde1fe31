"""Worlds of several agents: particles in the plane, gridworlds, matrix games and board games for two."""
