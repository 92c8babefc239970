"""How the pictures of each notebook are drawn: one module a notebook, one function a picture.

What a cell of a notebook is about stands in the cell; how its picture is drawn stands here. What
several notebooks draw, or you may want to draw of your own training, is in `lessonkit.plot`.
"""
