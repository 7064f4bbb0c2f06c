"""One restoration method a file: a public function, and the generator of iterates that it runs."""

__all__: list[str] = []
