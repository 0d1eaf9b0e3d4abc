"""Token orders as data: routes over a grid, built from its shape and cached."""

from .catalog import ROUTES, RouteSet, routes
from .table import RouteTable

__all__ = ['ROUTES', 'RouteSet', 'RouteTable', 'routes']
