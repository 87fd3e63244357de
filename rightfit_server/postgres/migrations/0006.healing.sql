-- What a restore from a backup is healed with: who was entered in which epoch, digests by which a replica finds out
-- where its copy differs, and the states that devices gave back.

ALTER TABLE app.tenants ADD COLUMN restored_at timestamptz;
COMMENT ON COLUMN app.tenants.restored_at IS 'When its present epoch began; null in the first one.';

ALTER TABLE app.devices ADD COLUMN epoch text NOT NULL DEFAULT '';
COMMENT ON COLUMN app.devices.epoch IS
    'The epoch in which the id was entered, and the only one in which it writes; empty where a restore had lost it.';

-- Row level security is forced on the owner, too, so each tenant has a turn.
DO $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT tenant_id FROM app.tenants LOOP
        PERFORM set_config('app.tenant_id', one, true);
        UPDATE app.devices d SET epoch = t.epoch FROM app.tenants t
        WHERE t.tenant_id = one AND d.tenant_id = one;
        UPDATE app.tenants SET restored_at = now() WHERE tenant_id = one AND 1 < (
            SELECT count(*) FROM app.devices WHERE tenant_id = one AND subject_id IS NULL
        );
    END LOOP;
    PERFORM set_config('app.tenant_id', '', true);
END
$$;

ALTER TABLE app.entities ADD COLUMN digest text NOT NULL DEFAULT '', ADD COLUMN place text COLLATE "C" NOT NULL DEFAULT '';
COMMENT ON COLUMN app.entities.state IS
    'The whole record (siblings, life, version vector) as MessagePack in canonical form: seals are made over it.';
COMMENT ON COLUMN app.entities.digest IS 'Stands for the state and the orphans; empty until `migrate` has filled it in.';
COMMENT ON COLUMN app.entities.place IS 'Where the record stands in the buckets that a replica compares; from its key.';
CREATE INDEX entities_by_place ON app.entities (tenant_id, place);

CREATE TABLE app.joins (
    tenant_id text NOT NULL,
    commit_seq bigint NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    entity_id text NOT NULL,
    device_id text NOT NULL,
    state bytea NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, commit_seq, ordinal),
    FOREIGN KEY (tenant_id, device_id) REFERENCES app.devices (tenant_id, device_id),
    FOREIGN KEY (tenant_id, commit_seq) REFERENCES app.commits (tenant_id, seq)
);
COMMENT ON TABLE app.joins IS 'States that devices gave back after a restore: history like changes, never updated.';
COMMENT ON COLUMN app.joins.state IS 'As it was offered; joined with the record as it was then.';
COMMENT ON COLUMN app.joins.ordinal IS 'The order of the states of one commit.';
CREATE INDEX joins_of_an_entity ON app.joins (tenant_id, kind, entity_id, commit_seq, ordinal);

ALTER TABLE app.joins ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.joins FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_tenant ON app.joins
    USING (tenant_id = (SELECT app.tenant_id())) WITH CHECK (tenant_id = (SELECT app.tenant_id()));
