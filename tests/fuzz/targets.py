"""The fuzz targets by name. Each takes bytes and raises if anything is wrong with what the gateway makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from . import (
    target_agent,
    target_evidence,
    target_http,
    target_login,
    target_opening,
    target_policy,
    target_provider,
    target_redis_agent,
    target_redis_upstream,
    target_request,
    target_socket,
    target_text,
    target_upstream,
)

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "agent": target_agent.target,
    "upstream": target_upstream.target,
    "opening": target_opening.target,
    "login": target_login.target,
    "text": target_text.target,
    "policy": target_policy.target,
    "evidence": target_evidence.target,
    "provider": target_provider.target,
    "request": target_request.target,
    "redis-agent": target_redis_agent.target,
    "redis-upstream": target_redis_upstream.target,
    "http-agent": target_http.agent,
    "http-upstream": target_http.upstream,
    "http-socket": target_socket.target,
}

CORPUS = Path(__file__).parent / "corpus"
"""One folder a target: inputs made of real conversations, and every input that once found something."""
