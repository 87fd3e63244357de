-- What the rows of a push name (their commit, device and subject) is looked up once per statement. A foreign key looks
-- once per row, and of a thousand rows all name the same few: that took a third of the database's time for a pushed
-- record. Both halves of a foreign key are kept: nothing names what is not there, and what is named stays. The tenant is
-- part of every comparison, and row level security binds these functions as it binds whoever calls them.

ALTER TABLE app.entities DROP CONSTRAINT entities_tenant_id_commit_seq_fkey;
ALTER TABLE app.changes
    DROP CONSTRAINT changes_tenant_id_commit_seq_fkey,
    DROP CONSTRAINT changes_tenant_id_device_id_fkey,
    DROP CONSTRAINT changes_tenant_id_subject_id_fkey;

CREATE FUNCTION app.named_commits_exist() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT tenant_id, commit_seq FROM written) w
        WHERE NOT EXISTS (SELECT FROM app.commits c WHERE c.tenant_id = w.tenant_id AND c.seq = w.commit_seq)
    ) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a row names a commit that is not there', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- The lock keeps a device or subject that is about to be removed until the row that names it can be seen. A commit needs
-- none: its rows are written with it.
CREATE FUNCTION app.named_authors_exist() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT tenant_id, device_id FROM written) w
        WHERE NOT EXISTS (
            SELECT FROM app.devices d WHERE d.tenant_id = w.tenant_id AND d.device_id = w.device_id FOR KEY SHARE
        )
    ) OR EXISTS (
        SELECT FROM (SELECT DISTINCT tenant_id, subject_id FROM written WHERE subject_id IS NOT NULL) w
        WHERE NOT EXISTS (
            SELECT FROM app.subjects s WHERE s.tenant_id = w.tenant_id AND s.subject_id = w.subject_id FOR KEY SHARE
        )
    ) THEN
        RAISE foreign_key_violation
            USING MESSAGE = 'a row names a device or subject that is not there', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- Its arguments: the table that may name the row, by which column, and the column that it names.
CREATE FUNCTION app.stays_while_named() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    is_named boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM app.%I WHERE tenant_id = $1.tenant_id AND %I = $1.%I)',
        TG_ARGV[0], TG_ARGV[1], TG_ARGV[2]
    ) INTO is_named USING OLD;
    IF is_named THEN
        RAISE foreign_key_violation
            USING MESSAGE = format('the row is still named by %s', TG_ARGV[0]), TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER commits_exist AFTER INSERT ON app.entities
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION app.named_commits_exist();
CREATE TRIGGER commits_exist_still AFTER UPDATE ON app.entities
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION app.named_commits_exist();
CREATE TRIGGER commits_exist AFTER INSERT ON app.changes
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION app.named_commits_exist();
CREATE TRIGGER commits_exist_still AFTER UPDATE ON app.changes
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION app.named_commits_exist();
CREATE TRIGGER authors_exist AFTER INSERT ON app.changes
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION app.named_authors_exist();
CREATE TRIGGER authors_exist_still AFTER UPDATE ON app.changes
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION app.named_authors_exist();

CREATE TRIGGER named_by_entities AFTER DELETE OR UPDATE OF tenant_id, seq ON app.commits
    FOR EACH ROW EXECUTE FUNCTION app.stays_while_named('entities', 'commit_seq', 'seq');
CREATE TRIGGER named_by_changes AFTER DELETE OR UPDATE OF tenant_id, seq ON app.commits
    FOR EACH ROW EXECUTE FUNCTION app.stays_while_named('changes', 'commit_seq', 'seq');
CREATE TRIGGER named_by_changes AFTER DELETE OR UPDATE OF tenant_id, device_id ON app.devices
    FOR EACH ROW EXECUTE FUNCTION app.stays_while_named('changes', 'device_id', 'device_id');
CREATE TRIGGER named_by_changes AFTER DELETE OR UPDATE OF tenant_id, subject_id ON app.subjects
    FOR EACH ROW EXECUTE FUNCTION app.stays_while_named('changes', 'subject_id', 'subject_id');
