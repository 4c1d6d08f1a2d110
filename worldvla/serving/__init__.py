"""A trained policy behind a websocket, by openpi's protocol."""
