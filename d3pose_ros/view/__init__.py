"""A live page in the browser: camera, bodies and graphs from the running topics, without RViz."""
