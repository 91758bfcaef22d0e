-- +goose Up

-- Governed: append-only, written by the sequencer only; each row names its entry.
CREATE TABLE entries (
    idx INTEGER PRIMARY KEY,
    pae TEXT NOT NULL,
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    actor TEXT NOT NULL,
    on_behalf_of TEXT NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    predicate_type TEXT NOT NULL,
    claimed INTEGER NOT NULL,
    saw_size INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    leaf_hash BLOB NOT NULL,
    UNIQUE (pae, key_id)
) STRICT;
CREATE TABLE leaves (
    idx INTEGER PRIMARY KEY REFERENCES entries (idx),
    body BLOB NOT NULL,
    timestamp_der BLOB NOT NULL
) STRICT;
CREATE TABLE hashes (
    idx INTEGER PRIMARY KEY,
    hash BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    prev INTEGER NOT NULL,
    root BLOB NOT NULL,
    note TEXT NOT NULL
) STRICT;
CREATE TABLE edges (
    idx INTEGER NOT NULL REFERENCES entries (idx),
    pos INTEGER NOT NULL,
    relation TEXT NOT NULL,
    class INTEGER NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (idx, pos)
) STRICT;

-- Payloads: deletable, by an attested erasure only.
CREATE TABLE payloads (
    idx INTEGER PRIMARY KEY REFERENCES entries (idx),
    payload BLOB NOT NULL
) STRICT;

-- Governed: append-only, written by the sequencer only; each row names its entry.
CREATE TABLE erased (
    idx INTEGER PRIMARY KEY REFERENCES entries (idx),
    entry INTEGER NOT NULL REFERENCES entries (idx)
) STRICT;
CREATE TABLE projects (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    id TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE policies (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (project, digest),
    UNIQUE (project, name, version)
) STRICT;
CREATE TABLE pipelines (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (project, digest)
) STRICT;
CREATE TABLE data_versions (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    UNIQUE (project, name, version)
) STRICT;
CREATE TABLE feature_sets (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (project, name, version)
) STRICT;
CREATE TABLE runs (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    artefact TEXT NOT NULL
) STRICT;
CREATE TABLE evaluations (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    result TEXT NOT NULL
) STRICT;
CREATE TABLE versions (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    artefact TEXT NOT NULL,
    run_entry INTEGER NOT NULL,
    UNIQUE (project, model, version)
) STRICT;
CREATE TABLE requests (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    stage TEXT NOT NULL,
    root TEXT NOT NULL,
    policy TEXT NOT NULL,
    evidence TEXT NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    expires INTEGER NOT NULL
) STRICT;
CREATE TABLE decisions (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    request INTEGER NOT NULL,
    role TEXT NOT NULL,
    outcome TEXT NOT NULL,
    actor TEXT NOT NULL,
    target INTEGER NOT NULL
) STRICT;
CREATE TABLE verdicts (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    request INTEGER NOT NULL,
    passed INTEGER NOT NULL
) STRICT;
CREATE TABLE deployments (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    action TEXT NOT NULL,
    role TEXT NOT NULL,
    weight REAL NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    artefact TEXT NOT NULL,
    request INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    permit TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE segments (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    deployment INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    records INTEGER NOT NULL,
    root TEXT NOT NULL,
    digest TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    UNIQUE (project, endpoint, deployment, sequence)
) STRICT;
CREATE TABLE outcomes (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    records INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE windows (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    records INTEGER NOT NULL,
    status TEXT NOT NULL,
    retrain INTEGER NOT NULL
) STRICT;
CREATE TABLE alerts (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    kind TEXT NOT NULL
) STRICT;
CREATE TABLE triggers (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    alert INTEGER NOT NULL,
    pipeline TEXT NOT NULL
) STRICT;
CREATE TABLE canaries (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    champion INTEGER NOT NULL,
    challenger INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    requests INTEGER NOT NULL,
    simulated INTEGER NOT NULL
) STRICT;
CREATE TABLE documents (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    as_of INTEGER NOT NULL
) STRICT;
CREATE TABLE project_states (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    size INTEGER NOT NULL,
    records INTEGER NOT NULL,
    root TEXT NOT NULL
) STRICT;
CREATE TABLE exports (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    tree_size INTEGER NOT NULL,
    manifest TEXT NOT NULL
) STRICT;
CREATE TABLE abandonments (
    entry INTEGER PRIMARY KEY REFERENCES entries (idx),
    project TEXT NOT NULL,
    intent TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

-- Current state: changed only in the sequencer's transaction; audit rebuilds and compares it.
CREATE TABLE cur_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    stamp INTEGER NOT NULL
) STRICT;
CREATE TABLE cur_actors (
    actor TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    owner TEXT NOT NULL,
    active INTEGER NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (idx)
) STRICT;
CREATE TABLE cur_keys (
    key_id TEXT PRIMARY KEY,
    actor TEXT NOT NULL,
    enrolled INTEGER NOT NULL,
    revoked INTEGER,
    void_from INTEGER,
    spki BLOB NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (idx)
) STRICT;
CREATE TABLE cur_memberships (
    actor TEXT NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    active INTEGER NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (actor, project, role)
) STRICT;
CREATE TABLE cur_inventory (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
    owner TEXT NOT NULL,
    developer TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (project, model)
) STRICT;
CREATE TABLE cur_requests (
    request INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    state TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (idx)
) STRICT;
CREATE TABLE cur_stages (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    stage TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (project, model, stage)
) STRICT;
CREATE TABLE cur_endpoints (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    role TEXT NOT NULL,
    weight REAL NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    artefact TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (idx),
    PRIMARY KEY (project, endpoint, role)
) STRICT;

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
    epoch INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    created INTEGER NOT NULL,
    saw_size INTEGER NOT NULL,
    saw_root TEXT NOT NULL,
    entry INTEGER,
    error TEXT NOT NULL
) STRICT;

CREATE INDEX entries_project ON entries (project, kind, idx);
CREATE INDEX edges_node ON edges (digest, class, idx);
CREATE INDEX decisions_request ON decisions (request);
CREATE INDEX windows_endpoint ON windows (project, endpoint, sequence);
CREATE INDEX versions_root ON versions (root);
CREATE INDEX evaluations_subject ON evaluations (subject);
CREATE INDEX intents_state ON intents (state, lease_until);

-- Append-only. recursive_triggers=ON makes the DELETE rule hold against REPLACE too.
-- +goose StatementBegin
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries BEGIN
    SELECT RAISE(ABORT, 'entries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries BEGIN
    SELECT RAISE(ABORT, 'entries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER leaves_no_update BEFORE UPDATE ON leaves BEGIN
    SELECT RAISE(ABORT, 'leaves is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER leaves_no_delete BEFORE DELETE ON leaves BEGIN
    SELECT RAISE(ABORT, 'leaves is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER hashes_no_update BEFORE UPDATE ON hashes BEGIN
    SELECT RAISE(ABORT, 'hashes is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER hashes_no_delete BEFORE DELETE ON hashes BEGIN
    SELECT RAISE(ABORT, 'hashes is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints BEGIN
    SELECT RAISE(ABORT, 'checkpoints is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints BEGIN
    SELECT RAISE(ABORT, 'checkpoints is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_no_update BEFORE UPDATE ON edges BEGIN
    SELECT RAISE(ABORT, 'edges is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER edges_no_delete BEFORE DELETE ON edges BEGIN
    SELECT RAISE(ABORT, 'edges is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER erased_no_update BEFORE UPDATE ON erased BEGIN
    SELECT RAISE(ABORT, 'erased is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER erased_no_delete BEFORE DELETE ON erased BEGIN
    SELECT RAISE(ABORT, 'erased is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER projects_no_update BEFORE UPDATE ON projects BEGIN
    SELECT RAISE(ABORT, 'projects is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER projects_no_delete BEFORE DELETE ON projects BEGIN
    SELECT RAISE(ABORT, 'projects is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policies_no_update BEFORE UPDATE ON policies BEGIN
    SELECT RAISE(ABORT, 'policies is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policies_no_delete BEFORE DELETE ON policies BEGIN
    SELECT RAISE(ABORT, 'policies is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER pipelines_no_update BEFORE UPDATE ON pipelines BEGIN
    SELECT RAISE(ABORT, 'pipelines is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER pipelines_no_delete BEFORE DELETE ON pipelines BEGIN
    SELECT RAISE(ABORT, 'pipelines is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER data_versions_no_update BEFORE UPDATE ON data_versions BEGIN
    SELECT RAISE(ABORT, 'data_versions is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER data_versions_no_delete BEFORE DELETE ON data_versions BEGIN
    SELECT RAISE(ABORT, 'data_versions is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER feature_sets_no_update BEFORE UPDATE ON feature_sets BEGIN
    SELECT RAISE(ABORT, 'feature_sets is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER feature_sets_no_delete BEFORE DELETE ON feature_sets BEGIN
    SELECT RAISE(ABORT, 'feature_sets is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER runs_no_update BEFORE UPDATE ON runs BEGIN
    SELECT RAISE(ABORT, 'runs is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER runs_no_delete BEFORE DELETE ON runs BEGIN
    SELECT RAISE(ABORT, 'runs is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evaluations_no_update BEFORE UPDATE ON evaluations BEGIN
    SELECT RAISE(ABORT, 'evaluations is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evaluations_no_delete BEFORE DELETE ON evaluations BEGIN
    SELECT RAISE(ABORT, 'evaluations is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER versions_no_update BEFORE UPDATE ON versions BEGIN
    SELECT RAISE(ABORT, 'versions is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER versions_no_delete BEFORE DELETE ON versions BEGIN
    SELECT RAISE(ABORT, 'versions is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER requests_no_update BEFORE UPDATE ON requests BEGIN
    SELECT RAISE(ABORT, 'requests is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER requests_no_delete BEFORE DELETE ON requests BEGIN
    SELECT RAISE(ABORT, 'requests is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions BEGIN
    SELECT RAISE(ABORT, 'decisions is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions BEGIN
    SELECT RAISE(ABORT, 'decisions is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER verdicts_no_update BEFORE UPDATE ON verdicts BEGIN
    SELECT RAISE(ABORT, 'verdicts is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER verdicts_no_delete BEFORE DELETE ON verdicts BEGIN
    SELECT RAISE(ABORT, 'verdicts is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER deployments_no_update BEFORE UPDATE ON deployments BEGIN
    SELECT RAISE(ABORT, 'deployments is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER deployments_no_delete BEFORE DELETE ON deployments BEGIN
    SELECT RAISE(ABORT, 'deployments is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER segments_no_update BEFORE UPDATE ON segments BEGIN
    SELECT RAISE(ABORT, 'segments is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER segments_no_delete BEFORE DELETE ON segments BEGIN
    SELECT RAISE(ABORT, 'segments is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outcomes_no_update BEFORE UPDATE ON outcomes BEGIN
    SELECT RAISE(ABORT, 'outcomes is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outcomes_no_delete BEFORE DELETE ON outcomes BEGIN
    SELECT RAISE(ABORT, 'outcomes is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER windows_no_update BEFORE UPDATE ON windows BEGIN
    SELECT RAISE(ABORT, 'windows is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER windows_no_delete BEFORE DELETE ON windows BEGIN
    SELECT RAISE(ABORT, 'windows is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER alerts_no_update BEFORE UPDATE ON alerts BEGIN
    SELECT RAISE(ABORT, 'alerts is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER alerts_no_delete BEFORE DELETE ON alerts BEGIN
    SELECT RAISE(ABORT, 'alerts is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER triggers_no_update BEFORE UPDATE ON triggers BEGIN
    SELECT RAISE(ABORT, 'triggers is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER triggers_no_delete BEFORE DELETE ON triggers BEGIN
    SELECT RAISE(ABORT, 'triggers is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER canaries_no_update BEFORE UPDATE ON canaries BEGIN
    SELECT RAISE(ABORT, 'canaries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER canaries_no_delete BEFORE DELETE ON canaries BEGIN
    SELECT RAISE(ABORT, 'canaries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents BEGIN
    SELECT RAISE(ABORT, 'documents is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER documents_no_delete BEFORE DELETE ON documents BEGIN
    SELECT RAISE(ABORT, 'documents is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER project_states_no_update BEFORE UPDATE ON project_states BEGIN
    SELECT RAISE(ABORT, 'project_states is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER project_states_no_delete BEFORE DELETE ON project_states BEGIN
    SELECT RAISE(ABORT, 'project_states is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER exports_no_update BEFORE UPDATE ON exports BEGIN
    SELECT RAISE(ABORT, 'exports is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER exports_no_delete BEFORE DELETE ON exports BEGIN
    SELECT RAISE(ABORT, 'exports is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER abandonments_no_update BEFORE UPDATE ON abandonments BEGIN
    SELECT RAISE(ABORT, 'abandonments is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER abandonments_no_delete BEFORE DELETE ON abandonments BEGIN
    SELECT RAISE(ABORT, 'abandonments is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payloads_no_update BEFORE UPDATE ON payloads BEGIN
    SELECT RAISE(ABORT, 'payloads are immutable');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payloads_no_delete BEFORE DELETE ON payloads
WHEN NOT EXISTS (SELECT 1 FROM erased WHERE erased.idx = OLD.idx) BEGIN
    SELECT RAISE(ABORT, 'a payload is deleted by an attested erasure only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cur_head_no_shrink BEFORE UPDATE ON cur_head
WHEN NEW.size < OLD.size OR NEW.stamp < OLD.stamp BEGIN
    SELECT RAISE(ABORT, 'the head never shrinks');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER cur_head_no_delete BEFORE DELETE ON cur_head BEGIN
    SELECT RAISE(ABORT, 'the head never shrinks');
END;
-- +goose StatementEnd

-- The empty tree; the row is the lock that orders every writer.
INSERT INTO cur_head (id, size, root, stamp) VALUES (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0);
