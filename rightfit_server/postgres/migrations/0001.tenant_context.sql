-- Whose rows a transaction may see. Every policy asks app.tenant_id(), which raises where nobody has said: an empty
-- answer would look like a mass deletion. After SET LOCAL the setting is '', not NULL, so both count as missing.

CREATE SCHEMA app;
CREATE SCHEMA report;

CREATE FUNCTION app.tenant_id() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    found text := pg_catalog.current_setting('app.tenant_id', true);
BEGIN
    IF found IS NULL OR found = '' THEN
        RAISE EXCEPTION 'no tenant is set for this transaction'
            USING ERRCODE = '42501',
                  HINT = 'Call set_config(''app.tenant_id'', <tenant>, true) first.';
    END IF;
    RETURN found;
END
$$;
