"""Pictures: what they are, and small ones made of them."""

from synapse_skills.media.thumbnail import PICTURES, NoPicture, Thumbnail, thumbnail

__all__ = ["PICTURES", "NoPicture", "Thumbnail", "thumbnail"]
