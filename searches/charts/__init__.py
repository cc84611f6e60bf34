"""Rows in, Plotly figures out. No ORM, no torch, no Plotly package: a figure is plain JSON.

A colour slot holds a role such as `"role:accent"` (a name from `static/css/tokens.css`); the browser resolves it, so
one figure serves both themes. Every figure carries a text summary and its data as a table.
"""
