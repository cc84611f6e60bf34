"""What people store, do and see: models, services, selectors, forms, pages, live updates."""
