-- The audience of a record is written beside the tags that it is made of, and compared with them. A generated column is
-- the same to whoever reads, but to make it PostgreSQL copies every row once more: it was a twelfth of the database's
-- time for a pushed record.

ALTER TABLE app.entities ALTER COLUMN audience DROP EXPRESSION;
ALTER TABLE app.entities ADD CONSTRAINT audience_is_all_tags CHECK (audience = own_tags || neighbour_tags);
