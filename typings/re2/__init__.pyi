"""The part of google-re2 that is used here; the package has no types of its own."""

class error(Exception): ...

class Options:
    log_errors: bool
    max_mem: int
    never_capture: bool

class _Regexp:
    @property
    def programsize(self) -> int: ...
    def search(self, text: bytes) -> object | None: ...

def compile(pattern: str, options: Options | None = None) -> _Regexp: ...
