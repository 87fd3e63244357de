-- Tenants with the head of their feed, subjects with the tags they hold, devices with their counters.

CREATE TABLE app.tenants (
    tenant_id text PRIMARY KEY CHECK (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    name text NOT NULL DEFAULT '',
    epoch text NOT NULL CHECK (epoch <> ''),
    head bigint NOT NULL DEFAULT 0,
    chain text NOT NULL DEFAULT '00000000000000000000000000000000',
    authority_counter bigint NOT NULL DEFAULT 0,
    purge_horizon bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN app.tenants.head IS 'The sequence number of the newest commit.';
COMMENT ON COLUMN app.tenants.chain IS 'The chain hash after that commit.';
COMMENT ON COLUMN app.tenants.authority_counter IS 'The greatest spent counter of the device server:<epoch>.';
COMMENT ON COLUMN app.tenants.purge_horizon IS 'A cursor before this commit has expired.';

CREATE TABLE app.subjects (
    tenant_id text NOT NULL REFERENCES app.tenants (tenant_id),
    subject_id text NOT NULL CHECK (length(subject_id) BETWEEN 1 AND 200),
    name text NOT NULL DEFAULT '',
    tags_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, subject_id)
);
COMMENT ON COLUMN app.subjects.tags_seq IS 'The commit in which its tags changed last.';

CREATE TABLE app.subject_tags (
    tenant_id text NOT NULL,
    subject_id text NOT NULL,
    tag text NOT NULL CHECK (length(tag) BETWEEN 1 AND 500),
    granted_seq bigint NOT NULL,
    PRIMARY KEY (tenant_id, subject_id, tag),
    FOREIGN KEY (tenant_id, subject_id) REFERENCES app.subjects (tenant_id, subject_id) ON DELETE CASCADE
);

CREATE TABLE app.devices (
    tenant_id text NOT NULL REFERENCES app.tenants (tenant_id),
    device_id text NOT NULL CHECK (length(device_id) BETWEEN 1 AND 200),
    subject_id text,
    replica_id text NOT NULL,
    former_device_id text,
    name text NOT NULL DEFAULT '',
    counter bigint NOT NULL DEFAULT 0,
    acknowledged_seq bigint NOT NULL DEFAULT 0,
    last_seen_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, subject_id) REFERENCES app.subjects (tenant_id, subject_id),
    FOREIGN KEY (tenant_id, former_device_id) REFERENCES app.devices (tenant_id, device_id),
    FOREIGN KEY (tenant_id, replica_id) REFERENCES app.devices (tenant_id, device_id)
);
COMMENT ON COLUMN app.devices.subject_id IS 'Whose device it is; null for the authority''s own, server:<epoch>.';
COMMENT ON COLUMN app.devices.replica_id IS 'The first id that the same replica had; equal for all ids it used.';
COMMENT ON COLUMN app.devices.counter IS 'The greatest spent counter.';
COMMENT ON COLUMN app.devices.acknowledged_seq IS 'The device has applied the feed up to this commit.';
CREATE INDEX devices_of_a_replica ON app.devices (tenant_id, replica_id);

ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.tenants
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));
-- Who runs the service lists its tenants; their rows in other tables stay closed to the owner, too.
CREATE POLICY listed_by_the_owner ON app.tenants FOR SELECT TO CURRENT_USER USING (true);

ALTER TABLE app.subjects ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.subjects FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.subjects
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));

ALTER TABLE app.subject_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.subject_tags FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.subject_tags
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));

ALTER TABLE app.devices ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.devices FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.devices
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));
