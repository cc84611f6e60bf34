"""Pages: one module each. Fetch and authorise, form or selector, context, render."""
