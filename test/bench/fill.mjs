// Books as years of service leave them, written by SQL in minutes: ended requests of thirty days, their transfers, their rollups.
// The transfers' chain is not theirs: its one link stands for them, so these books serve to be measured and not to be audited.
import Database from 'better-sqlite3';

const DAYS = 30;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** As one request of 100 and 10 tokens costs, in 1e-8 USD. */
const COST = { provider: 1_680, fee: 92 };

/** Adds this many requests of the first account to a database that no daemon serves. */
export function fill(file, count) {
  const db = new Database(file);
  // What dies with the power is filled again; a journal on the disk would write everything twice.
  db.pragma('synchronous = OFF');
  db.pragma('journal_mode = MEMORY');
  db.pragma('cache_size = -1000000');
  const { no } = db.prepare('SELECT no FROM accounts LIMIT 1').get();
  const { id: key } = db.prepare('SELECT id FROM api_keys LIMIT 1').get();
  const startMs = Date.now() - DAYS * DAY_MS;
  db.transaction(() => {
    addRequests(db, { no, key, count, startMs });
    for (const [kind, credit, amount] of [['fee', 2, COST.fee], ['usage', 1, COST.provider]]) {
      db.prepare(`INSERT INTO transfers (kind, debit, credit, amount, reference, request, note, at_ms) SELECT ?, ?, ?, ?, id, seq, '', ended_ms FROM requests ORDER BY seq`).run(kind, no, credit, amount);
    }
    db.prepare('INSERT INTO chain (upto, hash) SELECT max(seq), zeroblob(32) FROM transfers').run();
    addRollup(db, 'rollup_minutes', { no, key, count, lengthMs: MINUTE_MS });
    addRollup(db, 'rollup_days', { no, key, count, lengthMs: DAY_MS });
  })();
  db.pragma('journal_mode = WAL');
  db.close();
}

function addRequests(db, { no, key, count, startMs }) {
  db.prepare(`WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < @count)
    INSERT INTO requests (id, account, key_id, mode, model, requested_model, provider, stream, state, status, hold, free, byok_month, prompt_tokens, completion_tokens, usage_origin,
      cost, provider_cost, fee, shortfall, priced, price_input, price_output, price_rate, latency_ms, attempts, created_ms, ended_ms)
    SELECT printf('req_%010d0123456789abcdef', n), @no, @key, 'standard', 'deepseek-chat', 'deepseek-chat', 'deepseek', 0, 'settled', 'ok', 100000, 0, '', 100, 10, 'reported',
      ${COST.provider + COST.fee}, ${COST.provider}, ${COST.fee}, 0, 1, 140000, 280000, 55000, 800, 1, CAST(@start + n * @step AS INTEGER), CAST(@start + n * @step AS INTEGER) + 800 FROM counted`)
    .run({ count, no, key, start: startMs, step: (DAYS * DAY_MS) / count });
}

/** One row a minute or a day: their number hangs on time, keys and models, not on requests. */
function addRollup(db, table, { no, key, count, lengthMs }) {
  const buckets = Math.floor((DAYS * DAY_MS) / lengthMs);
  const share = Math.floor(count / buckets);
  const cells = {
    account: no, key_id: `'${key}'`, model: `'deepseek-chat'`, provider: `'deepseek'`, mode: `'standard'`, requests: share,
    prompt_tokens: share * 100, completion_tokens: share * 10, cost: share * (COST.provider + COST.fee), provider_cost: share * COST.provider, fee: share * COST.fee,
  };
  const columns = db.pragma(`table_info(${table})`).map(({ name }) => name);
  const first = Math.floor(Date.now() / lengthMs) - buckets + 1;
  db.prepare(`WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < ?)
    INSERT OR IGNORE INTO ${table} (${columns.join(', ')}) SELECT ${columns.map((name) => (name === 'bucket' ? `${first} + n` : (cells[name] ?? 0))).join(', ')} FROM counted`).run(buckets);
}
