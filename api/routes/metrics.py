"""Metrics for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.metrics import MEDIA_TYPE, ServerMetrics
from api.problems import documented

router = APIRouter(tags=["health"])

_TEXT = {
    200: {
        "description": "Prometheus' text format",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": "# TYPE quietwater_live_clients gauge\nquietwater_live_clients 3.0\n",
            }
        },
    },
    **documented(401, 403),
}


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=_TEXT)
def get_metrics(request: Request) -> Response:
    """Return the numbers of the server, for an official or for a token with the scope `metrics`."""
    metrics = request.app.state.metrics
    assert isinstance(metrics, ServerMetrics)
    return Response(metrics.page(), media_type=MEDIA_TYPE)
