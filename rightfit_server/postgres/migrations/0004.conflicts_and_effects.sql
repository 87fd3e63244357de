-- Conflicts (opened, closed, by whom), and the side effects that are still to be carried out.

CREATE TABLE app.conflicts (
    tenant_id text NOT NULL,
    conflict_id text NOT NULL,
    kind text NOT NULL,
    entity_id text NOT NULL,
    path text NOT NULL,
    reason text NOT NULL,
    dots jsonb NOT NULL,
    suggestion text,
    opened_at timestamptz NOT NULL DEFAULT now(),
    opened_seq bigint NOT NULL,
    opened_by_device_id text NOT NULL,
    closed_at timestamptz,
    closed_seq bigint,
    closed_by_device_id text,
    closed_by_subject_id text,
    PRIMARY KEY (tenant_id, conflict_id),
    FOREIGN KEY (tenant_id, kind, entity_id) REFERENCES app.entities (tenant_id, kind, entity_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, opened_seq) REFERENCES app.commits (tenant_id, seq),
    FOREIGN KEY (tenant_id, closed_seq) REFERENCES app.commits (tenant_id, seq),
    FOREIGN KEY (tenant_id, closed_by_subject_id) REFERENCES app.subjects (tenant_id, subject_id)
);
COMMENT ON COLUMN app.conflicts.closed_at IS 'Null while the conflict is open.';
CREATE INDEX conflicts_open ON app.conflicts (tenant_id, opened_seq, conflict_id) WHERE closed_at IS NULL;
CREATE INDEX conflicts_of_an_entity ON app.conflicts (tenant_id, kind, entity_id);

CREATE TABLE app.effects (
    tenant_id text NOT NULL,
    commit_seq bigint NOT NULL,
    ordinal integer NOT NULL,
    name text NOT NULL,
    payload jsonb NOT NULL,
    device_id text NOT NULL,
    counter bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, commit_seq, ordinal),
    FOREIGN KEY (tenant_id, commit_seq) REFERENCES app.commits (tenant_id, seq),
    FOREIGN KEY (tenant_id, device_id, counter) REFERENCES app.changes (tenant_id, device_id, counter)
);

ALTER TABLE app.conflicts ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.conflicts FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.conflicts
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));

ALTER TABLE app.effects ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.effects FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.effects
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));
