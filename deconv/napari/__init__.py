"""The plugin for napari: the widget *Deconvolve*, see ``napari.yaml``. Importing it imports neither napari nor Qt."""

__all__: list[str] = []
