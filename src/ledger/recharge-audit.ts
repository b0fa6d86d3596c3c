/** The rules of I9 and what belongs to it: one payment credits once, and what was taken back is never more than was given. */
export const RECHARGE_RULES = [
  {
    rule: 'I9 amount', // what is paid is fee and credits together
    query: `SELECT id AS subject, fee + credits AS expected, amount AS found FROM recharges WHERE amount <> fee + credits`,
  },
  {
    rule: 'I9 status', // a status says what the bookings say: without a payment nothing is paid, and nothing paid back
    query: `SELECT id AS subject, due AS expected, status AS found FROM (SELECT r.id, r.status, CASE WHEN r.payment_intent = '' THEN 'pending or expired'
        WHEN EXISTS (SELECT 1 FROM payment_disputes d WHERE d.payment_intent = r.payment_intent AND d.booked = 1) THEN 'disputed'
        WHEN r.refunded = 0 THEN 'paid' WHEN r.refunded_credits = r.credits THEN 'refunded' ELSE 'partially_refunded' END AS due FROM recharges r)
      WHERE status <> due AND NOT (due = 'pending or expired' AND status IN ('pending', 'expired'))`,
  },
  {
    rule: 'I9 recharge', // a paid recharge has one credit and one fee, each of its own amount, and no other recharge has any
    query: `SELECT r.id || ' ' || k.kind AS subject, CASE WHEN r.payment_intent = '' THEN 0 WHEN k.kind = 'recharge' THEN r.credits ELSE r.fee END AS expected,
        coalesce(t.amount, 0) AS found
      FROM recharges r JOIN (SELECT 'recharge' AS kind UNION ALL SELECT 'recharge_fee') k
      LEFT JOIN transfers t ON t.kind = k.kind AND t.reference = r.id AND t.debit = 3 AND t.credit = CASE WHEN k.kind = 'recharge' THEN r.account ELSE 2 END
      WHERE coalesce(t.amount, 0) <> CASE WHEN r.payment_intent = '' THEN 0 WHEN k.kind = 'recharge' THEN r.credits ELSE r.fee END
      UNION ALL SELECT t.reference, 'a paid recharge', t.amount FROM transfers t LEFT JOIN recharges r ON r.id = t.reference
        WHERE t.kind IN ('recharge', 'recharge_fee') AND (r.id IS NULL OR t.debit <> 3 OR t.credit <> CASE WHEN t.kind = 'recharge' THEN r.account ELSE 2 END)`,
  },
  {
    rule: 'I9 refund', // what a recharge says was paid back is what its transfers say, out of credits and fee
    query: `SELECT coalesce(r.id, t.id) AS subject, coalesce(r.refunded_credits || ' + ' || (r.refunded - r.refunded_credits), 'a recharge') AS expected,
        coalesce(t.credits, 0) || ' + ' || coalesce(t.fee, 0) AS found
      FROM recharges r FULL JOIN (SELECT substr(reference, 1, instr(reference, ' ') - 1) AS id, sum(amount) FILTER (WHERE debit >= 100) AS credits,
          sum(amount) FILTER (WHERE debit = 2) AS fee, count(*) FILTER (WHERE credit <> 3) AS strays FROM transfers WHERE kind = 'refund' GROUP BY 1) t ON t.id = r.id
      WHERE r.id IS NULL OR coalesce(t.credits, 0) <> r.refunded_credits OR coalesce(t.fee, 0) <> r.refunded - r.refunded_credits OR t.strays > 0
      UNION ALL SELECT t.reference, 'the wallet of its recharge', t.debit FROM transfers t JOIN recharges r ON r.id = substr(t.reference, 1, instr(t.reference, ' ') - 1)
        WHERE t.kind = 'refund' AND t.debit NOT IN (2, r.account)`,
  },
  {
    rule: 'I9 dispute', // what a dispute keeps is what it took less what it gave back
    query: `SELECT coalesce(d.id, t.id) AS subject, coalesce(d.taken, 'a dispute') AS expected, coalesce(t.amount, 0) AS found
      FROM payment_disputes d FULL JOIN (SELECT substr(reference, 1, instr(reference || ' ', ' ') - 1) AS id,
          coalesce(sum(amount) FILTER (WHERE kind = 'dispute'), 0) - coalesce(sum(amount) FILTER (WHERE kind = 'dispute_won'), 0) AS amount
        FROM transfers WHERE kind IN ('dispute', 'dispute_won') GROUP BY 1) t ON t.id = d.id
      WHERE d.id IS NULL OR coalesce(t.amount, 0) <> d.taken`,
  },
  {
    rule: 'I9 due', // one that stands has all that it asks for, or there is nothing left
    query: `SELECT d.id AS subject, d.amount AS expected, d.taken AS found FROM payment_disputes d JOIN recharges r ON r.payment_intent = d.payment_intent
      WHERE d.booked = 1 AND d.taken < d.amount AND r.refunded + (SELECT sum(taken) FROM payment_disputes o WHERE o.payment_intent = d.payment_intent) < r.amount`,
  },
  {
    rule: 'I9 bound', // credits are taken back at most once, whoever takes them
    query: `SELECT r.id AS subject, 'at most ' || r.amount || ', credits ' || r.credits AS expected,
        r.refunded + d.taken || ', credits ' || (r.refunded_credits + d.credits) AS found
      FROM recharges r JOIN (SELECT payment_intent, sum(taken) AS taken, sum(taken_credits) AS credits FROM payment_disputes GROUP BY 1) d
        ON d.payment_intent = r.payment_intent
      WHERE r.refunded + d.taken > r.amount OR r.refunded_credits + d.credits > r.credits`,
  },
  {
    rule: 'frozen', // an open dispute freezes, and nobody is frozen without a debt or a dispute
    query: `SELECT w.name AS subject, CASE w.may_overdraw WHEN 1 THEN 'thawed' ELSE 'frozen' END AS expected, CASE w.may_overdraw WHEN 1 THEN 'frozen' ELSE 'thawed' END AS found
      FROM wallets w WHERE w.customer = 1 AND w.may_overdraw <> (w.balance - w.held < 0
        OR EXISTS (SELECT 1 FROM payment_disputes d WHERE d.account = w.no AND d.state = 'open' AND d.account > 0))`,
  },
] as const;
