"""What `deconv bench` runs."""

__all__: list[str] = []
