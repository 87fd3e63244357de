-- The feed (commits), the records as they stand (entities, with the references between them), and every change that
-- was ever answered (changes).

CREATE TABLE app.commits (
    tenant_id text NOT NULL REFERENCES app.tenants (tenant_id),
    seq bigint NOT NULL,
    chain text NOT NULL,
    device_id text,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, seq),
    FOREIGN KEY (tenant_id, device_id) REFERENCES app.devices (tenant_id, device_id)
);
COMMENT ON COLUMN app.commits.seq IS 'The last sequence number of the commit; its rows have the numbers up to it.';

CREATE TABLE app.entities (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    entity_id text NOT NULL,
    seq bigint NOT NULL,
    commit_seq bigint NOT NULL,
    state bytea NOT NULL,
    version_vector jsonb NOT NULL,
    document jsonb NOT NULL,
    own_tags text[] NOT NULL,
    neighbour_tags text[] NOT NULL,
    audience text[] NOT NULL GENERATED ALWAYS AS (own_tags || neighbour_tags) STORED,
    lost_tags jsonb NOT NULL DEFAULT '{}',
    orphans text[] NOT NULL DEFAULT '{}',
    suggestions jsonb NOT NULL DEFAULT '{}',
    deleted_at timestamptz,
    deleted_by_device_id text,
    PRIMARY KEY (tenant_id, kind, entity_id),
    UNIQUE (tenant_id, seq),
    FOREIGN KEY (tenant_id, commit_seq) REFERENCES app.commits (tenant_id, seq)
);
COMMENT ON COLUMN app.entities.state IS 'The whole record (siblings, life, version vector) as MessagePack.';
COMMENT ON COLUMN app.entities.document IS 'What an app sees of it, for reports; dates that are none are null.';
COMMENT ON COLUMN app.entities.neighbour_tags IS 'Tags that it inherits, or that are lent to it.';
COMMENT ON COLUMN app.entities.lost_tags IS 'Tags that it once had, each with the commit in which it lost them.';

CREATE TABLE app.entity_references (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    entity_id text NOT NULL,
    path text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    PRIMARY KEY (tenant_id, kind, entity_id, path),
    FOREIGN KEY (tenant_id, kind, entity_id) REFERENCES app.entities (tenant_id, kind, entity_id) ON DELETE CASCADE
);
-- A table rather than an array with a GIN index: array operators are not leakproof, so that under row level security
-- no such index is used.
CREATE INDEX entity_references_by_target ON app.entity_references (tenant_id, target_kind, target_id);

CREATE TABLE app.changes (
    tenant_id text NOT NULL,
    device_id text NOT NULL,
    counter bigint NOT NULL,
    digest text NOT NULL,
    kind text NOT NULL,
    entity_id text NOT NULL,
    op text NOT NULL,
    status text NOT NULL,
    change json NOT NULL,
    outcome json NOT NULL,
    commit_seq bigint NOT NULL,
    ordinal integer NOT NULL,
    transaction_id text,
    was_device_id text,
    was_counter bigint,
    was_digest text,
    subject_id text,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, device_id, counter),
    FOREIGN KEY (tenant_id, device_id) REFERENCES app.devices (tenant_id, device_id),
    FOREIGN KEY (tenant_id, subject_id) REFERENCES app.subjects (tenant_id, subject_id),
    FOREIGN KEY (tenant_id, commit_seq) REFERENCES app.commits (tenant_id, seq)
);
COMMENT ON TABLE app.changes IS 'History and receipts: kept for ever, never updated.';
COMMENT ON COLUMN app.changes.change IS 'As applied, or as sent if it was not accepted; json, since jsonb refuses \u0000.';
COMMENT ON COLUMN app.changes.ordinal IS 'The order of the changes of one commit.';
COMMENT ON COLUMN app.changes.subject_id IS 'On whose behalf; null for consequences that the authority drew.';
CREATE INDEX changes_of_an_entity ON app.changes (tenant_id, kind, entity_id, commit_seq, ordinal);
CREATE INDEX changes_of_a_transaction ON app.changes (tenant_id, device_id, transaction_id)
    WHERE transaction_id IS NOT NULL;
CREATE INDEX changes_by_former_dot ON app.changes (tenant_id, was_device_id, was_counter)
    WHERE was_device_id IS NOT NULL;

ALTER TABLE app.commits ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.commits FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.commits
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));

ALTER TABLE app.entities ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.entities FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.entities
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));

ALTER TABLE app.entity_references ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.entity_references FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.entity_references
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));

ALTER TABLE app.changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.changes FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.changes
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));
