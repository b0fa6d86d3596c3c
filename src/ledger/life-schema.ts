/**
 * The life of an account: the mails it is sent, the links that activate it, and the order in which idle accounts are looked at.
 * A mail's text stands in the row until it is sent, so that what causes a mail and the mail itself are one transaction.
 */
export const LIFE_TABLES = `
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('activation', 'expiry_30', 'expiry_7', 'deactivation')),
  account INTEGER NOT NULL REFERENCES accounts (no),
  reference TEXT NOT NULL CHECK (reference <> ''),  -- what caused it: the same cause queues no second mail
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  text TEXT NOT NULL,                      -- '' where it bore a link and was sent, or the link was used
  html TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'logged', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  next_ms INTEGER NOT NULL,                -- not before; meaningless once it is no longer queued
  problem TEXT NOT NULL DEFAULT '',        -- of the last attempt
  created_ms INTEGER NOT NULL,
  sent_ms INTEGER NOT NULL DEFAULT 0,      -- 0: not yet
  UNIQUE (kind, account, reference),
  CHECK ((sent_ms > 0) = (state IN ('sent', 'logged')))
) STRICT;
CREATE INDEX outbox_due ON outbox (next_ms) WHERE state = 'queued';
CREATE INDEX outbox_of_account ON outbox (account, kind, created_ms);

CREATE TABLE activations (
  no INTEGER PRIMARY KEY,
  token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
  account INTEGER NOT NULL REFERENCES accounts (no),
  expires_ms INTEGER NOT NULL,
  used_ms INTEGER NOT NULL DEFAULT 0       -- 0: not used
) STRICT;
CREATE INDEX activations_of_account ON activations (account) WHERE used_ms = 0;
CREATE INDEX activations_by_end ON activations (expires_ms);

CREATE INDEX accounts_by_activity ON accounts (activity_ms, no);
`;
