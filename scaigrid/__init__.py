"""ScaiGrid: a self-hosted gateway between applications and every LLM provider."""


def __getattr__(name: str) -> str:
    # Reading a distribution's metadata takes milliseconds that no import should pay for.
    if name == "__version__":
        from importlib.metadata import version

        return version("scaigrid")
    raise AttributeError(name)
