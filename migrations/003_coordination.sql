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

-- Lists of tasks by what canceled them or by a time range cost what the page does, not what the history does: kept by
-- the triggers below, as task_counts is.
CREATE TABLE task_cancel_counts (
  canceled_by INTEGER PRIMARY KEY,
  n INTEGER NOT NULL CHECK (n >= 0)
) STRICT;

INSERT INTO task_cancel_counts (canceled_by, n)
  SELECT canceled_by, count(*) FROM tasks WHERE canceled_by IS NOT NULL GROUP BY canceled_by;

-- Each row is about 1,024 consecutive uids. The bounds include every time there is, and may be wider after deletions.
CREATE TABLE task_zones (
  zone INTEGER PRIMARY KEY,
  enqueued INTEGER NOT NULL CHECK (enqueued >= 0),
  started INTEGER NOT NULL CHECK (started >= 0),
  finished INTEGER NOT NULL CHECK (finished >= 0),
  enqueued_min INTEGER NOT NULL,
  enqueued_max INTEGER NOT NULL,
  started_min INTEGER,
  started_max INTEGER,
  finished_min INTEGER,
  finished_max INTEGER
) STRICT;

INSERT INTO task_zones
  SELECT uid / 1024, count(*), count(started_at), count(finished_at), min(enqueued_at), max(enqueued_at),
    min(started_at), max(started_at), min(finished_at), max(finished_at)
  FROM tasks GROUP BY uid / 1024;

-- Zones answer what these did.
DROP INDEX tasks_by_enqueued_at;
DROP INDEX tasks_by_started_at;

CREATE TRIGGER tasks_placed_on_insert AFTER INSERT ON tasks BEGIN
  INSERT INTO task_cancel_counts (canceled_by, n) SELECT new.canceled_by, 1 WHERE new.canceled_by IS NOT NULL
    ON CONFLICT (canceled_by) DO UPDATE SET n = n + 1;
  INSERT INTO task_zones
    VALUES (new.uid / 1024, 1, new.started_at IS NOT NULL, new.finished_at IS NOT NULL, new.enqueued_at,
      new.enqueued_at, new.started_at, new.started_at, new.finished_at, new.finished_at)
    ON CONFLICT (zone) DO UPDATE SET
      enqueued = enqueued + 1,
      started = started + excluded.started,
      finished = finished + excluded.finished,
      enqueued_min = min(enqueued_min, excluded.enqueued_min),
      enqueued_max = max(enqueued_max, excluded.enqueued_max),
      started_min = coalesce(min(started_min, excluded.started_min), started_min, excluded.started_min),
      started_max = coalesce(max(started_max, excluded.started_max), started_max, excluded.started_max),
      finished_min = coalesce(min(finished_min, excluded.finished_min), finished_min, excluded.finished_min),
      finished_max = coalesce(max(finished_max, excluded.finished_max), finished_max, excluded.finished_max);
END;

CREATE TRIGGER tasks_placed_on_update AFTER UPDATE OF enqueued_at, started_at, finished_at ON tasks
WHEN (old.enqueued_at, old.started_at, old.finished_at) IS NOT (new.enqueued_at, new.started_at, new.finished_at)
BEGIN
  UPDATE task_zones SET
    started = started + (new.started_at IS NOT NULL) - (old.started_at IS NOT NULL),
    finished = finished + (new.finished_at IS NOT NULL) - (old.finished_at IS NOT NULL),
    enqueued_min = min(enqueued_min, new.enqueued_at),
    enqueued_max = max(enqueued_max, new.enqueued_at),
    started_min = coalesce(min(started_min, new.started_at), started_min, new.started_at),
    started_max = coalesce(max(started_max, new.started_at), started_max, new.started_at),
    finished_min = coalesce(min(finished_min, new.finished_at), finished_min, new.finished_at),
    finished_max = coalesce(max(finished_max, new.finished_at), finished_max, new.finished_at)
    WHERE zone = new.uid / 1024;
END;

CREATE TRIGGER tasks_canceled_on_update AFTER UPDATE OF canceled_by ON tasks
WHEN old.canceled_by IS NOT new.canceled_by BEGIN
  UPDATE task_cancel_counts SET n = n - 1 WHERE canceled_by = old.canceled_by;
  DELETE FROM task_cancel_counts WHERE canceled_by = old.canceled_by AND n = 0;
  INSERT INTO task_cancel_counts (canceled_by, n) SELECT new.canceled_by, 1 WHERE new.canceled_by IS NOT NULL
    ON CONFLICT (canceled_by) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER tasks_placed_on_delete AFTER DELETE ON tasks BEGIN
  UPDATE task_cancel_counts SET n = n - 1 WHERE canceled_by = old.canceled_by;
  DELETE FROM task_cancel_counts WHERE canceled_by = old.canceled_by AND n = 0;
  UPDATE task_zones SET
    enqueued = enqueued - 1,
    started = started - (old.started_at IS NOT NULL),
    finished = finished - (old.finished_at IS NOT NULL)
    WHERE zone = old.uid / 1024;
  DELETE FROM task_zones WHERE zone = old.uid / 1024 AND enqueued = 0;
END;
