"""The control plane's state: resources as documents, whoever made them, in one graph that the snapshot is made from."""
