-- What a person may write where a column does not fit the model.

-- name: view
CREATE VIEW {view} AS SELECT {columns} FROM {relation};
