-- States are encoded in a shorter form (docs/reference, `rightfit_sync.state`). Those of an older release, with all keys
-- spelled out, are told to `migrate` by a digest that is missing: it encodes and digests them anew. History (`joins`)
-- stays as it was written.

COMMENT ON COLUMN app.entities.state IS
    'The whole record (siblings, life, version vector) as `rightfit_sync.state` encodes it: seals are made over it.';

-- Row level security is forced on the owner, too, so each tenant has a turn.
DO $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT tenant_id FROM app.tenants LOOP
        PERFORM set_config('app.tenant_id', one, true);
        UPDATE app.entities SET digest = '', place = ''
        WHERE tenant_id = one AND substring(state FROM 2 FOR 5) = '\xa46b696e64';
    END LOOP;
    PERFORM set_config('app.tenant_id', '', true);
END
$$;
