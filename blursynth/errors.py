"""What a user can mend.

Every message is one sentence or two that say what was found, what was expected and what to do. The command line
turns these (and the operating system's own errors) into exit code 2; anything else is our mistake and keeps its
traceback.
"""


class BlursynthError(ValueError):
    """Base of everything a user can mend."""


class RecipeError(BlursynthError):
    """A recipe or an option has an unknown key or a value out of range."""


class InputError(BlursynthError):
    """A photo, clip or folder cannot be used as it is."""


class DatasetError(BlursynthError):
    """A dataset is missing, incomplete, damaged, of another kind, or in use."""


class MissingPackageError(BlursynthError):
    """An optional or system package is missing; the message names what to install."""
