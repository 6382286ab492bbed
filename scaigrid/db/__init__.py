"""The database: its tables, its engine, its migrations. Nothing here is imported on the way of a request."""
