"""What the pages in a browser have in common: a WebGL scene and SMPL bodies (JavaScript), and their data."""
