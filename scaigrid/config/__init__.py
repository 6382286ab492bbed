"""Declarative configuration: one YAML file, decoded into strict Structs, compiled into one frozen snapshot."""
