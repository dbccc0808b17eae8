-- What several callers share: claims of jobs, rotation of scoped keys, rate limits, events that wait for a
-- sink; and counts that keep lists of tasks as fast in a long history as in a short one.
-- Times are milliseconds since the Unix epoch; columns ending in _json hold JSON text as it was given.

ALTER TABLE jobs ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT 5;
ALTER TABLE jobs ADD COLUMN run_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1));

CREATE INDEX jobs_queued ON jobs (run_after, created_at, id) WHERE state = 'queued';
CREATE INDEX jobs_queued_by_type ON jobs (type, run_after, created_at, id) WHERE state = 'queued';
CREATE INDEX jobs_claimed ON jobs (claim_expires_at) WHERE state = 'in_progress';

CREATE INDEX workflows_by_creation ON workflows (created_at, id);

-- How many rows there are of the tables that are bounded by number, kept by the triggers below, so that an
-- insertion need not count them.
CREATE TABLE row_counts (
  table_name TEXT PRIMARY KEY,
  n INTEGER NOT NULL CHECK (n >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO row_counts (table_name, n) SELECT 'sessions', count(*) FROM sessions;
INSERT INTO row_counts (table_name, n) SELECT 'idempotency_cache', count(*) FROM idempotency_cache;

CREATE TRIGGER sessions_counted_on_insert AFTER INSERT ON sessions BEGIN
  UPDATE row_counts SET n = n + 1 WHERE table_name = 'sessions';
END;

CREATE TRIGGER sessions_counted_on_delete AFTER DELETE ON sessions BEGIN
  UPDATE row_counts SET n = n - 1 WHERE table_name = 'sessions';
END;

CREATE TRIGGER idempotency_cache_counted_on_insert AFTER INSERT ON idempotency_cache BEGIN
  UPDATE row_counts SET n = n + 1 WHERE table_name = 'idempotency_cache';
END;

CREATE TRIGGER idempotency_cache_counted_on_delete AFTER DELETE ON idempotency_cache BEGIN
  UPDATE row_counts SET n = n - 1 WHERE table_name = 'idempotency_cache';
END;

CREATE TABLE scoped_keys (
  index_uid TEXT PRIMARY KEY,
  generation INTEGER NOT NULL CHECK (generation > 0),
  primary_uid TEXT NOT NULL,
  previous_uid TEXT,
  rotated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scoped_keys_observed (
  index_uid TEXT NOT NULL,
  proxy TEXT NOT NULL,
  generation INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (index_uid, proxy)
) STRICT, WITHOUT ROWID;

CREATE INDEX scoped_keys_observed_by_expiry ON scoped_keys_observed (expires_at);

-- Revocations of admin sessions in the order in which they happened. A position is never given twice, so that whoever
-- knows one knows what came after it.
CREATE TABLE admin_revocations (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT NOT NULL,
  -- When the session would have ended.
  expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX admin_revocations_by_expiry ON admin_revocations (expires_at);

CREATE TABLE rate_limits (
  -- 'searchui' or 'adminlogin'.
  bucket TEXT NOT NULL,
  source TEXT NOT NULL,
  used INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (bucket, source)
) STRICT, WITHOUT ROWID;

CREATE INDEX rate_limits_by_expiry ON rate_limits (expires_at);

CREATE TABLE login_failures (
  source TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  locked_until INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_failures_by_expiry ON login_failures (expires_at);

CREATE TABLE cdc_sinks (
  sink TEXT PRIMARY KEY,
  next_position INTEGER NOT NULL,
  events INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  dropped_events INTEGER NOT NULL,
  dropped_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cdc_overflow (
  sink TEXT NOT NULL REFERENCES cdc_sinks (sink) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (sink, position)
) STRICT, WITHOUT ROWID;
