import type { Connection } from './connection.ts';
import { LedgerError } from './errors.ts';
import { CHAIN_TABLES } from './chain.ts';
import { CLOCK_TABLES } from './clock-steps.ts';
import { IDEMPOTENCY_TABLES } from './idempotency.ts';
import { KEY_INDEXES } from './keys.ts';
import { LIFE_TABLES } from './life-schema.ts';
import { MINUTES_KEPT } from './minutes.ts';
import { RECHARGE_TABLES } from './recharge-schema.ts';
import { REQUEST_TABLES } from './requests-schema.ts';
import { RETENTION_TABLES } from './retention.ts';

/**
 * The books' shape, one string a version, each applied in one transaction. Append; never edit one that was released.
 * No column is NULL: "none" is '', 0 or -1, as the column's comment says. Amounts are 1e-8 USD, times Unix milliseconds.
 */
export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE wallets (
  no INTEGER PRIMARY KEY,                  -- system accounts below 100, customers from 100
  name TEXT NOT NULL UNIQUE,               -- a customer's account id
  customer INTEGER NOT NULL CHECK (customer IN (0, 1)),
  balance INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
  may_overdraw INTEGER NOT NULL DEFAULT 0 CHECK (may_overdraw IN (0, 1)),  -- a customer's: frozen
  CHECK (may_overdraw = 1 OR balance - held >= 0)
) STRICT;
INSERT INTO wallets (no, name, customer, may_overdraw) VALUES
  (1, 'provider_cost', 0, 1), (2, 'fees', 0, 1), (3, 'stripe_clearing', 0, 1), (4, 'grants', 0, 1),
  (5, 'expiry', 0, 1), (6, 'disputes', 0, 1), (7, 'shortfall', 0, 1);

CREATE TABLE accounts (
  no INTEGER PRIMARY KEY REFERENCES wallets (no) CHECK (no >= 100),
  id TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL UNIQUE CHECK (email = lower(email)),
  status TEXT NOT NULL CHECK (status IN ('pending', 'active', 'deactivated')),
  requests_per_minute INTEGER NULL CHECK (requests_per_minute > 0),
  created_ms INTEGER NOT NULL,
  activity_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE transfers (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('usage', 'fee', 'shortfall', 'grant', 'grant_back', 'recharge', 'recharge_fee',
    'refund', 'dispute', 'dispute_won', 'expiry')),
  debit INTEGER NOT NULL REFERENCES wallets (no),
  credit INTEGER NOT NULL REFERENCES wallets (no),
  amount INTEGER NOT NULL CHECK (amount > 0),
  reference TEXT NOT NULL CHECK (reference <> ''),
  note TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  UNIQUE (kind, reference),
  CHECK (debit <> credit)
) STRICT;
CREATE INDEX transfers_out ON transfers (debit, seq) WHERE debit >= 100;
CREATE INDEX transfers_in ON transfers (credit, seq) WHERE credit >= 100;
CREATE TRIGGER transfers_are_never_changed BEFORE UPDATE ON transfers
  BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER transfers_are_never_deleted BEFORE DELETE ON transfers
  BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;

CREATE TABLE requests (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  account INTEGER NOT NULL REFERENCES accounts (no),
  key_id TEXT NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('standard', 'byok')),
  model TEXT NOT NULL,
  requested_model TEXT NOT NULL,
  provider TEXT NOT NULL,
  stream INTEGER NOT NULL CHECK (stream IN (0, 1)),
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'settled', 'released', 'recovered')),
  status TEXT NOT NULL DEFAULT 'open',
  hold INTEGER NOT NULL CHECK (hold >= 0),
  free INTEGER NOT NULL CHECK (free IN (0, 1)),
  byok_month TEXT NOT NULL,                -- '' for a Standard request
  prompt_tokens INTEGER NOT NULL DEFAULT 0 CHECK (prompt_tokens >= 0),
  cached_tokens INTEGER NOT NULL DEFAULT 0 CHECK (cached_tokens >= 0),
  completion_tokens INTEGER NOT NULL DEFAULT 0 CHECK (completion_tokens >= 0),
  reasoning_tokens INTEGER NOT NULL DEFAULT 0 CHECK (reasoning_tokens >= 0),
  usage_origin TEXT NOT NULL DEFAULT 'unknown' CHECK (usage_origin IN ('reported', 'estimated', 'unknown')),
  progress_provider INTEGER NOT NULL DEFAULT 0 CHECK (progress_provider >= 0),
  progress_fee INTEGER NOT NULL DEFAULT 0 CHECK (progress_fee >= 0),
  cost INTEGER NOT NULL DEFAULT 0 CHECK (cost >= 0),
  provider_cost INTEGER NOT NULL DEFAULT 0 CHECK (provider_cost >= 0),
  fee INTEGER NOT NULL DEFAULT 0 CHECK (fee >= 0),
  shortfall INTEGER NOT NULL DEFAULT 0 CHECK (shortfall >= 0),
  priced INTEGER NOT NULL DEFAULT 0 CHECK (priced IN (0, 1)),
  price_input INTEGER NOT NULL DEFAULT 0 CHECK (price_input >= 0),
  price_cached INTEGER NOT NULL DEFAULT 0 CHECK (price_cached >= 0),
  price_output INTEGER NOT NULL DEFAULT 0 CHECK (price_output >= 0),
  price_rate INTEGER NOT NULL DEFAULT 0 CHECK (price_rate >= 0),
  latency_ms INTEGER NOT NULL DEFAULT 0,
  first_byte_ms INTEGER NOT NULL DEFAULT -1,
  attempts INTEGER NOT NULL DEFAULT 0,
  boot TEXT NOT NULL,                      -- the process that took the hold
  created_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL DEFAULT 0,
  end_no INTEGER NOT NULL DEFAULT 0,       -- the order of ending; 0 while open
  CHECK (cost = provider_cost + fee),
  CHECK (state <> 'open' OR (cost = 0 AND shortfall = 0 AND end_no = 0)),
  CHECK (state = 'open' OR end_no > 0)
) STRICT;
CREATE INDEX requests_of_account ON requests (account, seq);
CREATE INDEX requests_open ON requests (seq) WHERE state = 'open';
CREATE UNIQUE INDEX requests_ended ON requests (end_no) WHERE end_no > 0;
CREATE TRIGGER requests_end_once BEFORE UPDATE ON requests WHEN OLD.state <> 'open'
  BEGIN SELECT RAISE(ABORT, 'an ended request is never changed'); END;

CREATE TABLE api_keys (
  no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  account INTEGER NOT NULL REFERENCES accounts (no),
  name TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  last4 TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  last_used_ms INTEGER NOT NULL DEFAULT 0, -- 0: never
  revoked_ms INTEGER NOT NULL DEFAULT 0    -- 0: live
) STRICT;
CREATE INDEX api_keys_of_account ON api_keys (account, no);

CREATE TABLE byok_counters (
  account INTEGER NOT NULL REFERENCES accounts (no),
  month TEXT NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]'),
  requests INTEGER NOT NULL CHECK (requests >= 0),
  PRIMARY KEY (account, month)
) STRICT, WITHOUT ROWID;

CREATE TABLE byok_keys (
  no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  account INTEGER NOT NULL REFERENCES accounts (no),
  provider TEXT NOT NULL,
  region TEXT NOT NULL,                    -- '': the provider's default
  name TEXT NOT NULL,
  last4 TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX byok_keys_of_account ON byok_keys (account, provider);

CREATE TABLE provider_keys (
  provider TEXT NOT NULL PRIMARY KEY,
  last4 TEXT NOT NULL,
  sealed BLOB NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE daemon_state (
  no INTEGER PRIMARY KEY CHECK (no = 1),
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  url TEXT NOT NULL,
  started_ms INTEGER NOT NULL,
  beat_ms INTEGER NOT NULL,
  detail TEXT NOT NULL
) STRICT;
${rollup('rollup_minutes')}
${rollup('rollup_days')}
`,
  RECHARGE_TABLES,
  IDEMPOTENCY_TABLES,
  LIFE_TABLES,
  CHAIN_TABLES,
  RETENTION_TABLES,
  REQUEST_TABLES,
  MINUTES_KEPT + CLOCK_TABLES,
  KEY_INDEXES,
];

/** The first version whose transfers are chained. */
export const CHAINED = MIGRATIONS.indexOf(CHAIN_TABLES) + 1;

/** The file's version; 0 where there are no books in it. @throws LedgerError `ledger_newer` */
export function schemaVersion(db: Connection, path: string): number {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > MIGRATIONS.length) {
    throw new LedgerError('ledger_newer', `${path} has schema ${version}, this findtoken knows ${MIGRATIONS.length}. Use the newer findtoken that made it.`);
  }
  return version;
}

/** `bucket` counts minutes or days since 1970, UTC, of the moment a request ended. */
function rollup(table: 'rollup_minutes' | 'rollup_days'): string {
  return `CREATE TABLE ${table} (
  bucket INTEGER NOT NULL,
  account INTEGER NOT NULL REFERENCES accounts (no),
  key_id TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  mode TEXT NOT NULL,
  requests INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  provider_cost INTEGER NOT NULL,
  fee INTEGER NOT NULL,
  shortfall INTEGER NOT NULL,
  PRIMARY KEY (bucket, account, key_id, model, provider, mode)
) STRICT, WITHOUT ROWID;`;
}
