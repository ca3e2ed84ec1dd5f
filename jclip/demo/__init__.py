"""A rendered world with captions, so that every experiment runs, and means something, anywhere."""

from jclip.demo.captions import describe, describe_object, object_words
from jclip.demo.negatives import fine_grained_sets, hard_negatives, write_fine_grained_sets
from jclip.demo.rendering import draw_many, object_boxes, render_panorama, render_photo
from jclip.demo.scenes import Camera, Scene, sample_camera, sample_scene, scene_key

__all__ = [
    "Camera",
    "Scene",
    "describe",
    "describe_object",
    "draw_many",
    "fine_grained_sets",
    "hard_negatives",
    "object_boxes",
    "object_words",
    "render_panorama",
    "render_photo",
    "sample_camera",
    "sample_scene",
    "scene_key",
    "write_fine_grained_sets",
]
