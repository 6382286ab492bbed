"""HTTP towards providers behind one port: `http1` carries it, `httpx` is the reference, the simulator answers here."""
