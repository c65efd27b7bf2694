"""HTTP, WebSocket and WebRTC: how sessions reach browsers and applications."""
