-- +goose Up

-- Governed: append-only, written by the sequencer only; each row names its entry.
CREATE TABLE entries (
    idx BIGINT PRIMARY KEY,
    pae TEXT NOT NULL,
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    actor TEXT NOT NULL,
    on_behalf_of TEXT NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    predicate_type TEXT NOT NULL,
    claimed BIGINT NOT NULL,
    saw_size BIGINT NOT NULL,
    stamp BIGINT NOT NULL,
    leaf_hash BYTEA NOT NULL,
    UNIQUE (pae, key_id)
);
CREATE TABLE leaves (
    idx BIGINT PRIMARY KEY REFERENCES entries (idx),
    body BYTEA NOT NULL,
    timestamp_der BYTEA NOT NULL
);
CREATE TABLE hashes (
    idx BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL
);
CREATE TABLE checkpoints (
    size BIGINT PRIMARY KEY,
    prev BIGINT NOT NULL,
    root BYTEA NOT NULL,
    note TEXT NOT NULL
);
CREATE TABLE edges (
    idx BIGINT NOT NULL REFERENCES entries (idx),
    pos BIGINT NOT NULL,
    relation TEXT NOT NULL,
    class BIGINT NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (idx, pos)
);

-- Payloads: deletable, by an attested erasure only.
CREATE TABLE payloads (
    idx BIGINT PRIMARY KEY REFERENCES entries (idx),
    payload BYTEA NOT NULL
);

-- Governed: append-only, written by the sequencer only; each row names its entry.
CREATE TABLE erased (
    idx BIGINT PRIMARY KEY REFERENCES entries (idx),
    entry BIGINT NOT NULL REFERENCES entries (idx)
);
CREATE TABLE projects (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    id TEXT NOT NULL UNIQUE
);
CREATE TABLE policies (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (project, digest),
    UNIQUE (project, name, version)
);
CREATE TABLE pipelines (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (project, digest)
);
CREATE TABLE data_versions (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    UNIQUE (project, name, version)
);
CREATE TABLE feature_sets (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (project, name, version)
);
CREATE TABLE runs (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    artefact TEXT NOT NULL
);
CREATE TABLE evaluations (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    result TEXT NOT NULL
);
CREATE TABLE versions (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    artefact TEXT NOT NULL,
    run_entry BIGINT NOT NULL,
    UNIQUE (project, model, version)
);
CREATE TABLE requests (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    stage TEXT NOT NULL,
    root TEXT NOT NULL,
    policy TEXT NOT NULL,
    evidence TEXT NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    expires BIGINT NOT NULL
);
CREATE TABLE decisions (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    request BIGINT NOT NULL,
    role TEXT NOT NULL,
    outcome TEXT NOT NULL,
    actor TEXT NOT NULL,
    target BIGINT NOT NULL
);
CREATE TABLE verdicts (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    request BIGINT NOT NULL,
    passed BIGINT NOT NULL
);
CREATE TABLE deployments (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    action TEXT NOT NULL,
    role TEXT NOT NULL,
    weight DOUBLE PRECISION NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    artefact TEXT NOT NULL,
    request BIGINT NOT NULL,
    verdict BIGINT NOT NULL,
    permit TEXT NOT NULL UNIQUE
);
CREATE TABLE segments (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    deployment BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    records BIGINT NOT NULL,
    root TEXT NOT NULL,
    digest TEXT NOT NULL,
    simulated BIGINT NOT NULL,
    UNIQUE (project, endpoint, deployment, sequence)
);
CREATE TABLE outcomes (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    records BIGINT NOT NULL,
    digest TEXT NOT NULL
);
CREATE TABLE windows (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    records BIGINT NOT NULL,
    status TEXT NOT NULL,
    retrain BIGINT NOT NULL
);
CREATE TABLE alerts (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    kind TEXT NOT NULL
);
CREATE TABLE triggers (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    alert BIGINT NOT NULL,
    pipeline TEXT NOT NULL
);
CREATE TABLE canaries (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    champion BIGINT NOT NULL,
    challenger BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    requests BIGINT NOT NULL,
    simulated BIGINT NOT NULL
);
CREATE TABLE documents (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    as_of BIGINT NOT NULL
);
CREATE TABLE project_states (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    size BIGINT NOT NULL,
    records BIGINT NOT NULL,
    root TEXT NOT NULL
);
CREATE TABLE exports (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    tree_size BIGINT NOT NULL,
    manifest TEXT NOT NULL
);
CREATE TABLE abandonments (
    entry BIGINT PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    intent TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL
);

-- Current state: changed only in the sequencer's transaction; audit rebuilds and compares it.
CREATE TABLE cur_head (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    stamp BIGINT NOT NULL
);
CREATE TABLE cur_actors (
    actor TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    owner TEXT NOT NULL,
    active BIGINT NOT NULL,
    entry BIGINT NOT NULL REFERENCES entries (idx)
);
CREATE TABLE cur_keys (
    key_id TEXT PRIMARY KEY,
    actor TEXT NOT NULL,
    enrolled BIGINT NOT NULL,
    revoked BIGINT,
    void_from BIGINT,
    spki BYTEA NOT NULL,
    entry BIGINT NOT NULL REFERENCES entries (idx)
);
CREATE TABLE cur_memberships (
    actor TEXT NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    active BIGINT NOT NULL,
    entry BIGINT NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (actor, project, role)
);
CREATE TABLE cur_inventory (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
    owner TEXT NOT NULL,
    developer TEXT NOT NULL,
    entry BIGINT NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (project, model)
);
CREATE TABLE cur_requests (
    request BIGINT PRIMARY KEY,
    project TEXT NOT NULL,
    state TEXT NOT NULL,
    entry BIGINT NOT NULL REFERENCES entries (idx)
);
CREATE TABLE cur_stages (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    stage TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    entry BIGINT NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (project, model, stage)
);
CREATE TABLE cur_endpoints (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    role TEXT NOT NULL,
    weight DOUBLE PRECISION NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    artefact TEXT NOT NULL,
    entry BIGINT NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (project, endpoint, role)
);

-- Intents: the job queue; mutable, not replayed.
CREATE TABLE intents (
    nonce TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    actor TEXT NOT NULL,
    on_behalf_of TEXT NOT NULL,
    handler TEXT NOT NULL,
    params TEXT NOT NULL,
    inputs TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    created BIGINT NOT NULL,
    saw_size BIGINT NOT NULL,
    saw_root TEXT NOT NULL,
    entry BIGINT,
    error TEXT NOT NULL
);

CREATE INDEX entries_project ON entries (project, kind, idx);
CREATE INDEX edges_node ON edges (digest, class, idx);
CREATE INDEX decisions_request ON decisions (request);
CREATE INDEX windows_endpoint ON windows (project, endpoint, sequence);
CREATE INDEX versions_root ON versions (root);
CREATE INDEX evaluations_subject ON evaluations (subject);
CREATE INDEX intents_state ON intents (state, lease_until);

-- +goose StatementBegin
CREATE FUNCTION affidavit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION affidavit_erasure_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM erased WHERE erased.idx = OLD.idx) THEN
        RAISE EXCEPTION 'a payload is deleted by an attested erasure only';
    END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION affidavit_no_shrink() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size < OLD.size OR NEW.stamp < OLD.stamp THEN
        RAISE EXCEPTION 'the head never shrinks';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER entries_no_truncate BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER leaves_append_only BEFORE UPDATE OR DELETE ON leaves FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER leaves_no_truncate BEFORE TRUNCATE ON leaves FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER hashes_append_only BEFORE UPDATE OR DELETE ON hashes FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER hashes_no_truncate BEFORE TRUNCATE ON hashes FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE ON checkpoints FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER checkpoints_no_truncate BEFORE TRUNCATE ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER edges_append_only BEFORE UPDATE OR DELETE ON edges FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER edges_no_truncate BEFORE TRUNCATE ON edges FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER erased_append_only BEFORE UPDATE OR DELETE ON erased FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER erased_no_truncate BEFORE TRUNCATE ON erased FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER projects_append_only BEFORE UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER projects_no_truncate BEFORE TRUNCATE ON projects FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER policies_append_only BEFORE UPDATE OR DELETE ON policies FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER policies_no_truncate BEFORE TRUNCATE ON policies FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER pipelines_append_only BEFORE UPDATE OR DELETE ON pipelines FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER pipelines_no_truncate BEFORE TRUNCATE ON pipelines FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER data_versions_append_only BEFORE UPDATE OR DELETE ON data_versions FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER data_versions_no_truncate BEFORE TRUNCATE ON data_versions FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER feature_sets_append_only BEFORE UPDATE OR DELETE ON feature_sets FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER feature_sets_no_truncate BEFORE TRUNCATE ON feature_sets FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER runs_append_only BEFORE UPDATE OR DELETE ON runs FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER runs_no_truncate BEFORE TRUNCATE ON runs FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER evaluations_append_only BEFORE UPDATE OR DELETE ON evaluations FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER evaluations_no_truncate BEFORE TRUNCATE ON evaluations FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER versions_append_only BEFORE UPDATE OR DELETE ON versions FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER versions_no_truncate BEFORE TRUNCATE ON versions FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER requests_append_only BEFORE UPDATE OR DELETE ON requests FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER requests_no_truncate BEFORE TRUNCATE ON requests FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER decisions_no_truncate BEFORE TRUNCATE ON decisions FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER verdicts_append_only BEFORE UPDATE OR DELETE ON verdicts FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER verdicts_no_truncate BEFORE TRUNCATE ON verdicts FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER deployments_append_only BEFORE UPDATE OR DELETE ON deployments FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER deployments_no_truncate BEFORE TRUNCATE ON deployments FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER segments_append_only BEFORE UPDATE OR DELETE ON segments FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER segments_no_truncate BEFORE TRUNCATE ON segments FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER outcomes_append_only BEFORE UPDATE OR DELETE ON outcomes FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER outcomes_no_truncate BEFORE TRUNCATE ON outcomes FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER windows_append_only BEFORE UPDATE OR DELETE ON windows FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER windows_no_truncate BEFORE TRUNCATE ON windows FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER alerts_append_only BEFORE UPDATE OR DELETE ON alerts FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER alerts_no_truncate BEFORE TRUNCATE ON alerts FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER triggers_append_only BEFORE UPDATE OR DELETE ON triggers FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER triggers_no_truncate BEFORE TRUNCATE ON triggers FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER canaries_append_only BEFORE UPDATE OR DELETE ON canaries FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER canaries_no_truncate BEFORE TRUNCATE ON canaries FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER documents_append_only BEFORE UPDATE OR DELETE ON documents FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER documents_no_truncate BEFORE TRUNCATE ON documents FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER project_states_append_only BEFORE UPDATE OR DELETE ON project_states FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER project_states_no_truncate BEFORE TRUNCATE ON project_states FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER exports_append_only BEFORE UPDATE OR DELETE ON exports FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER exports_no_truncate BEFORE TRUNCATE ON exports FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER abandonments_append_only BEFORE UPDATE OR DELETE ON abandonments FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER abandonments_no_truncate BEFORE TRUNCATE ON abandonments FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER payloads_no_update BEFORE UPDATE ON payloads FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER payloads_no_truncate BEFORE TRUNCATE ON payloads FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER payloads_no_delete BEFORE DELETE ON payloads FOR EACH ROW EXECUTE FUNCTION affidavit_erasure_only();
CREATE TRIGGER cur_head_no_shrink BEFORE UPDATE ON cur_head FOR EACH ROW EXECUTE FUNCTION affidavit_no_shrink();
CREATE TRIGGER cur_head_no_delete BEFORE DELETE ON cur_head FOR EACH ROW EXECUTE FUNCTION affidavit_append_only();
CREATE TRIGGER cur_head_no_truncate BEFORE TRUNCATE ON cur_head FOR EACH STATEMENT EXECUTE FUNCTION affidavit_append_only();

-- Readers: a role with SELECT and nothing else; View takes it on inside its transaction.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'affidavit_reader') THEN
        BEGIN
            CREATE ROLE affidavit_reader NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the cluster made it at the same moment
        END;
    END IF;
    EXECUTE format('GRANT affidavit_reader TO %I', current_user);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO affidavit_reader', current_schema());
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO affidavit_reader', current_schema());
END $$;
-- +goose StatementEnd

-- The empty tree; the row is the lock that orders every writer.
INSERT INTO cur_head (id, size, root, stamp) VALUES (1, 0, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0);
