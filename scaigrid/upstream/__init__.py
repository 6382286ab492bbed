"""HTTP towards providers, behind one small port: `http` by pyreqwest (httpx for reference), `simulator` in the process."""
