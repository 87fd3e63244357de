-- What was collected: a deleted record that nobody had to hear of any more. The history of the record stays in changes;
-- its row here says that it is missing on purpose, and up to where.

CREATE TABLE app.purged (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    entity_id text NOT NULL,
    commit_seq bigint NOT NULL,
    version_vector jsonb NOT NULL,
    deleted_at timestamptz NOT NULL,
    deleted_by_device_id text NOT NULL,
    purged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, kind, entity_id, commit_seq),
    FOREIGN KEY (tenant_id, commit_seq) REFERENCES app.commits (tenant_id, seq)
);
COMMENT ON TABLE app.purged IS 'Tombstones that were collected: never updated.';
COMMENT ON COLUMN app.purged.commit_seq IS 'The last commit of the record before it was collected.';
COMMENT ON COLUMN app.purged.version_vector IS 'All changes that had gone into the record by then.';

ALTER TABLE app.purged ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.purged FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.purged
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));
