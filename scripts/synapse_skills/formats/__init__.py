"""Formats: records → COCO, YOLO and others; one module a format, the writer beside the verifier."""
