-- Canaries, change data capture, tenants, rollover, search pages, the admin interface.
-- Times are milliseconds since the Unix epoch; columns ending in _json hold JSON text as it was given.

CREATE TABLE canaries (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  index_uid TEXT NOT NULL,
  interval_seconds INTEGER NOT NULL CHECK (interval_seconds > 0),
  query_json TEXT NOT NULL,
  assertions_json TEXT NOT NULL,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE canary_runs (
  canary_id TEXT NOT NULL REFERENCES canaries (id) ON DELETE CASCADE,
  ran_at INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pass', 'fail', 'error')),
  latency_ms INTEGER NOT NULL,
  failed_assertions_json TEXT,
  PRIMARY KEY (canary_id, ran_at)
) STRICT, WITHOUT ROWID;

CREATE INDEX canary_runs_by_time ON canary_runs (ran_at);

CREATE TABLE cdc_cursors (
  sink TEXT NOT NULL,
  index_uid TEXT NOT NULL,
  last_event_seq INTEGER NOT NULL CHECK (last_event_seq >= 0),
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (sink, index_uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant_map (
  -- SHA-256 of the API key, in hexadecimal: the key itself is never stored.
  api_key_hash TEXT PRIMARY KEY CHECK (length(api_key_hash) = 64),
  tenant_id TEXT NOT NULL,
  group_id INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE rollover_policies (
  name TEXT PRIMARY KEY,
  write_alias TEXT NOT NULL,
  read_alias TEXT NOT NULL,
  pattern TEXT NOT NULL,
  triggers_json TEXT NOT NULL,
  retention_json TEXT NOT NULL,
  template_json TEXT NOT NULL,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE search_ui_config (
  index_uid TEXT PRIMARY KEY,
  config_json TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_sessions (
  session_id TEXT PRIMARY KEY,
  csrf_token TEXT NOT NULL,
  admin_key_hash TEXT NOT NULL CHECK (length(admin_key_hash) = 64),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,
  user_agent TEXT,
  source_ip TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX admin_sessions_by_expiry ON admin_sessions (expires_at);
