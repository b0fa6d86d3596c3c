/**
 * Any of these words. A chain of comparisons, for SQLite builds a table of its own out of an `IN` list at each row that it checks:
 * 1.1 µs for eleven words, and nothing that could be measured for the chain.
 */
const oneOf = (column: string, words: readonly string[]): string => `CHECK (${words.map((word) => `${column} = '${word}'`).join(' OR ')})`;

/** What a hold and an ended request have in common: who asks for what, and what it may cost. */
const ASKED = `
  account INTEGER NOT NULL REFERENCES accounts (no),
  key_id TEXT NOT NULL,
  mode TEXT NOT NULL ${oneOf('mode', ['standard', 'byok'])},
  model TEXT NOT NULL,
  requested_model TEXT NOT NULL,
  provider TEXT NOT NULL,
  stream INTEGER NOT NULL CHECK (stream BETWEEN 0 AND 1),
  hold INTEGER NOT NULL CHECK (hold >= 0),
  free INTEGER NOT NULL CHECK (free BETWEEN 0 AND 1),
  byok_month TEXT NOT NULL,                -- '' for a Standard request`;

/** What was measured. While the request runs: what was measured so far. */
const MEASURED = `
  prompt_tokens INTEGER NOT NULL DEFAULT 0 CHECK (prompt_tokens >= 0),
  cached_tokens INTEGER NOT NULL DEFAULT 0 CHECK (cached_tokens >= 0),
  completion_tokens INTEGER NOT NULL DEFAULT 0 CHECK (completion_tokens >= 0),
  reasoning_tokens INTEGER NOT NULL DEFAULT 0 CHECK (reasoning_tokens >= 0),
  usage_origin TEXT NOT NULL DEFAULT 'unknown' ${oneOf('usage_origin', ['reported', 'estimated', 'unknown'])},
  latency_ms INTEGER NOT NULL DEFAULT 0,
  first_byte_ms INTEGER NOT NULL DEFAULT -1,
  attempts INTEGER NOT NULL DEFAULT 0,
  priced INTEGER NOT NULL DEFAULT 0 CHECK (priced BETWEEN 0 AND 1),
  price_input INTEGER NOT NULL DEFAULT 0 CHECK (price_input >= 0),
  price_cached INTEGER NOT NULL DEFAULT 0 CHECK (price_cached >= 0),
  price_output INTEGER NOT NULL DEFAULT 0 CHECK (price_output >= 0),
  price_rate INTEGER NOT NULL DEFAULT 0 CHECK (price_rate >= 0),`;

const COMMON = `account, key_id, mode, model, requested_model, provider, stream, hold, free, byok_month, prompt_tokens, cached_tokens, completion_tokens,
  reasoning_tokens, usage_origin, latency_ms, first_byte_ms, attempts, priced, price_input, price_cached, price_output, price_rate`;

/**
 * Open requests and ended ones in a table each. A hold is a row of a small table, gone when the request ends; its end is a row
 * that is written once, at the end of a table in the order of ending. A row that grew in the middle of a full page was what a
 * request cost most. A request's transfers bear its number, which keeps them unique in a fifth of the bytes of its id.
 */
export const REQUEST_TABLES = `
CREATE TABLE holds (
  id TEXT NOT NULL PRIMARY KEY,${ASKED}${MEASURED}
  progress_provider INTEGER NOT NULL DEFAULT 0 CHECK (progress_provider >= 0),
  progress_fee INTEGER NOT NULL DEFAULT 0 CHECK (progress_fee >= 0),
  boot TEXT NOT NULL,                      -- the process that took the hold
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO holds (id, ${COMMON}, progress_provider, progress_fee, boot, created_ms)
  SELECT id, ${COMMON}, progress_provider, progress_fee, boot, created_ms FROM requests WHERE state = 'open';

CREATE TABLE ended (
  seq INTEGER PRIMARY KEY,                 -- the order of ending
  id TEXT NOT NULL UNIQUE,${ASKED}${MEASURED}
  state TEXT NOT NULL ${oneOf('state', ['settled', 'released', 'recovered'])},
  status TEXT NOT NULL,
  cost INTEGER NOT NULL CHECK (cost >= 0),
  provider_cost INTEGER NOT NULL CHECK (provider_cost >= 0),
  fee INTEGER NOT NULL CHECK (fee >= 0),
  shortfall INTEGER NOT NULL CHECK (shortfall >= 0),
  created_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  CHECK (cost = provider_cost + fee),
  CHECK (state <> 'released' OR cost + shortfall = 0)
) STRICT;
INSERT INTO ended (seq, id, ${COMMON}, state, status, cost, provider_cost, fee, shortfall, created_ms, ended_ms)
  SELECT end_no, id, ${COMMON}, state, status, cost, provider_cost, fee, shortfall, created_ms, ended_ms FROM requests WHERE state <> 'open' ORDER BY end_no;

CREATE TABLE booked (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL ${oneOf('kind', ['usage', 'fee', 'shortfall', 'grant', 'grant_back', 'recharge', 'recharge_fee', 'refund', 'dispute', 'dispute_won', 'expiry'])},
  debit INTEGER NOT NULL REFERENCES wallets (no),
  credit INTEGER NOT NULL REFERENCES wallets (no),
  amount INTEGER NOT NULL CHECK (amount > 0),
  reference TEXT NOT NULL CHECK (reference <> ''),
  request INTEGER NOT NULL DEFAULT 0 CHECK (request >= 0),  -- the number of the request that it pays for; 0: for none
  note TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  CHECK (debit <> credit),
  CHECK (request = 0 OR kind = 'usage' OR kind = 'fee' OR kind = 'shortfall')
) STRICT;
INSERT INTO booked (seq, kind, debit, credit, amount, reference, request, note, at_ms)
  SELECT t.seq, t.kind, t.debit, t.credit, t.amount, t.reference,
    CASE WHEN t.kind IN ('usage', 'fee', 'shortfall') THEN coalesce((SELECT e.seq FROM ended e WHERE e.id = t.reference), 0) ELSE 0 END, t.note, t.at_ms
  FROM transfers t ORDER BY t.seq;

DROP TABLE requests;
DROP TABLE transfers;
ALTER TABLE ended RENAME TO requests;
ALTER TABLE booked RENAME TO transfers;

CREATE INDEX requests_of_account ON requests (account, seq);
CREATE INDEX requests_long ON requests (seq) WHERE ended_ms - created_ms > 3600000;
CREATE TRIGGER requests_end_once BEFORE UPDATE ON requests
  BEGIN SELECT RAISE(ABORT, 'an ended request is never changed'); END;
-- Requests and their transfers are numbered in one order: this index is also the one by which an account's transfers are listed.
CREATE UNIQUE INDEX transfers_of_request ON transfers (debit, request, kind) WHERE request > 0;
CREATE UNIQUE INDEX transfers_by_reference ON transfers (kind, reference) WHERE request = 0;
CREATE INDEX transfers_out ON transfers (debit, seq) WHERE debit >= 100 AND request = 0;
CREATE INDEX transfers_in ON transfers (credit, seq) WHERE credit >= 100;
CREATE TRIGGER transfers_are_never_changed BEFORE UPDATE ON transfers
  BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER transfers_are_never_deleted BEFORE DELETE ON transfers
  BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
`;
