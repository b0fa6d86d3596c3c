/**
 * Recharges, and what the payment service said of payments whether or not we know them: facts are kept as they come, and the
 * bookings follow from them, so that no order of messages matters. Refunds and disputes name a payment, never a recharge.
 */
export const RECHARGE_TABLES = `
CREATE TABLE recharges (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  account INTEGER NOT NULL REFERENCES accounts (no),
  amount INTEGER NOT NULL CHECK (amount > 0),
  fee INTEGER NOT NULL CHECK (fee >= 0),
  credits INTEGER NOT NULL CHECK (credits >= 0),
  currency TEXT NOT NULL CHECK (currency = lower(currency)),
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'paid', 'expired', 'refunded', 'partially_refunded', 'disputed')),
  session TEXT NOT NULL DEFAULT '',         -- '' until a checkout is attached
  payment_intent TEXT NOT NULL DEFAULT '',  -- '' until it is paid
  refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= refunded_credits),
  refunded_credits INTEGER NOT NULL DEFAULT 0 CHECK (refunded_credits BETWEEN 0 AND credits),
  checkout_url TEXT NOT NULL DEFAULT '',
  created_ms INTEGER NOT NULL,
  paid_ms INTEGER NOT NULL DEFAULT 0,       -- 0: never
  CHECK (amount = fee + credits),
  CHECK (refunded <= amount),
  CHECK ((payment_intent = '') = (status IN ('pending', 'expired')))
) STRICT;
CREATE UNIQUE INDEX recharges_session ON recharges (session) WHERE session <> '';
CREATE UNIQUE INDEX recharges_payment ON recharges (payment_intent) WHERE payment_intent <> '';
CREATE INDEX recharges_of_account ON recharges (account, seq);
CREATE INDEX recharges_by_status ON recharges (status, seq);

CREATE TABLE stripe_events (
  id TEXT NOT NULL PRIMARY KEY,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE payment_refunds (
  payment_intent TEXT NOT NULL PRIMARY KEY CHECK (payment_intent <> ''),
  refunded INTEGER NOT NULL CHECK (refunded >= 0),  -- in all, as the payment service says
  currency TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE payment_disputes (
  id TEXT NOT NULL PRIMARY KEY,
  payment_intent TEXT NOT NULL CHECK (payment_intent <> ''),
  amount INTEGER NOT NULL CHECK (amount >= 0),
  currency TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'won', 'lost')),
  booked INTEGER NOT NULL DEFAULT 0 CHECK (booked IN (0, 1)),
  taken INTEGER NOT NULL DEFAULT 0 CHECK (taken >= taken_credits),          -- what the books gave up, out of credits and fee
  taken_credits INTEGER NOT NULL DEFAULT 0 CHECK (taken_credits >= 0),
  account INTEGER NOT NULL DEFAULT 0       -- whose wallet it freezes while it is open; 0 until it is booked
) STRICT, WITHOUT ROWID;
CREATE INDEX disputes_of_payment ON payment_disputes (payment_intent);
CREATE INDEX disputes_freezing ON payment_disputes (account) WHERE state = 'open' AND account > 0;

-- Whatever moves its money, a wallet that is out of debt thaws, and none thaws while a dispute is open.
CREATE TRIGGER wallets_thaw AFTER UPDATE OF balance, held ON wallets
  WHEN NEW.customer = 1 AND NEW.may_overdraw = 1 AND NEW.balance - NEW.held >= 0
    AND NOT EXISTS (SELECT 1 FROM payment_disputes WHERE account = NEW.no AND state = 'open' AND account > 0)
  BEGIN UPDATE wallets SET may_overdraw = 0 WHERE no = NEW.no; END;
CREATE TRIGGER wallets_stay_frozen AFTER UPDATE OF may_overdraw ON wallets
  WHEN NEW.customer = 1 AND NEW.may_overdraw = 0
    AND EXISTS (SELECT 1 FROM payment_disputes WHERE account = NEW.no AND state = 'open' AND account > 0)
  BEGIN UPDATE wallets SET may_overdraw = 1 WHERE no = NEW.no; END;
`;
