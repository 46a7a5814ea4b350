"""Builds workbook/data/assets from named packages; nothing at run time needs it. See ``tools/build_assets.py``."""
