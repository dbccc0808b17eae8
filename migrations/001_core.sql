-- What the control plane must not lose: tasks, topology, leases, audit frontiers, running changes.
-- Times are milliseconds since the Unix epoch; columns ending in _json hold JSON text as it was given.

CREATE TABLE leader_lease (
  scope TEXT PRIMARY KEY,
  -- Null once released. The row stays, so that no fencing number is ever given twice.
  holder TEXT,
  term INTEGER NOT NULL CHECK (term > 0),
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE topology (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  cluster_id TEXT NOT NULL,
  term INTEGER NOT NULL,
  counter INTEGER NOT NULL,
  content_hash TEXT NOT NULL,
  document BLOB NOT NULL
) STRICT;

CREATE TABLE task_uids (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  next_uid INTEGER NOT NULL CHECK (next_uid >= 0)
) STRICT;

INSERT INTO task_uids (id, next_uid) VALUES (1, 0);

CREATE TABLE tasks (
  uid INTEGER PRIMARY KEY,
  -- Empty for tasks without an index: part of the key of task_counts.
  index_uid TEXT NOT NULL,
  instance TEXT,
  type TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('enqueued', 'processing', 'succeeded', 'failed', 'canceled')),
  enqueued_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  canceled_by INTEGER,
  details_json TEXT,
  error_json TEXT,
  custom_metadata TEXT,
  documents_by_shard_json TEXT
) STRICT;

-- With task_counts this answers any combination of statuses, types and indexes in order of uid.
CREATE INDEX tasks_by_kind ON tasks (status, type, index_uid, uid);
CREATE INDEX tasks_by_enqueued_at ON tasks (enqueued_at);
CREATE INDEX tasks_by_started_at ON tasks (started_at) WHERE started_at IS NOT NULL;
CREATE INDEX tasks_by_finished_at ON tasks (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX tasks_by_canceled_by ON tasks (canceled_by) WHERE canceled_by IS NOT NULL;

-- How many tasks there are of each kind, kept by the triggers below, so that totals need no scan.
CREATE TABLE task_counts (
  status TEXT NOT NULL,
  type TEXT NOT NULL,
  index_uid TEXT NOT NULL,
  n INTEGER NOT NULL CHECK (n >= 0),
  PRIMARY KEY (status, type, index_uid)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tasks_counted_on_insert AFTER INSERT ON tasks BEGIN
  INSERT INTO task_counts (status, type, index_uid, n) VALUES (new.status, new.type, new.index_uid, 1)
    ON CONFLICT (status, type, index_uid) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER tasks_counted_on_update AFTER UPDATE OF status, type, index_uid ON tasks
WHEN (old.status, old.type, old.index_uid) IS NOT (new.status, new.type, new.index_uid) BEGIN
  UPDATE task_counts SET n = n - 1
    WHERE status = old.status AND type = old.type AND index_uid = old.index_uid;
  DELETE FROM task_counts
    WHERE status = old.status AND type = old.type AND index_uid = old.index_uid AND n = 0;
  INSERT INTO task_counts (status, type, index_uid, n) VALUES (new.status, new.type, new.index_uid, 1)
    ON CONFLICT (status, type, index_uid) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER tasks_counted_on_delete AFTER DELETE ON tasks BEGIN
  UPDATE task_counts SET n = n - 1
    WHERE status = old.status AND type = old.type AND index_uid = old.index_uid;
  DELETE FROM task_counts
    WHERE status = old.status AND type = old.type AND index_uid = old.index_uid AND n = 0;
END;

CREATE TABLE node_tasks (
  task_uid INTEGER NOT NULL REFERENCES tasks (uid) ON DELETE CASCADE,
  node_id TEXT NOT NULL,
  node_task_uid INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('enqueued', 'processing', 'succeeded', 'failed', 'canceled')),
  shards_json TEXT,
  details_json TEXT,
  error_json TEXT,
  started_at INTEGER,
  finished_at INTEGER,
  PRIMARY KEY (task_uid, node_id, node_task_uid)
) STRICT, WITHOUT ROWID;

-- Not unique: a node that lost its database counts from 0 again.
CREATE INDEX node_tasks_by_node ON node_tasks (node_id, node_task_uid, task_uid);
CREATE INDEX node_tasks_open ON node_tasks (node_id, node_task_uid, task_uid, status)
  WHERE status IN ('enqueued', 'processing');

CREATE TABLE node_cursors (
  node_id TEXT PRIMARY KEY,
  frontier_uid INTEGER,
  last_seen_uid INTEGER,
  identity TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE node_settings_version (
  instance TEXT NOT NULL,
  node_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (instance, node_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE workflows (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  step TEXT NOT NULL,
  state_json TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;

CREATE INDEX workflows_open ON workflows (created_at, id) WHERE finished_at IS NULL;
CREATE INDEX workflows_finished ON workflows (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  params_json TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'in_progress', 'completed', 'failed', 'canceled')),
  claimed_by TEXT,
  claim_expires_at INTEGER,
  progress_json TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  error TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;

CREATE INDEX jobs_by_state ON jobs (state, created_at, id);
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE aliases (
  name TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('single', 'multi')),
  -- One entry for a single alias.
  target_uids_json TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  history_json TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  session_id TEXT PRIMARY KEY,
  last_write_task_uid INTEGER,
  last_write_at INTEGER,
  pinned_group INTEGER,
  min_settings_version INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_use ON sessions (last_used_at);

CREATE TABLE idempotency_cache (
  key TEXT PRIMARY KEY,
  body_sha256 BLOB NOT NULL,
  task_uid INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_expiry ON idempotency_cache (expires_at);
CREATE INDEX idempotency_by_use ON idempotency_cache (last_used_at);
