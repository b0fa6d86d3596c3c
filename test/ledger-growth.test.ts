import Database from 'better-sqlite3';
import t from 'tap';
import { createBooks } from '../src/ledger/books.ts';
import { openConnection } from '../src/ledger/connection.ts';
import { bringForward } from '../src/ledger/forward.ts';
import { charge } from '../src/money/index.ts';
import { endOf } from './support/stories.ts';

/** Tables with rows for every request, for as long as the books are kept. */
const GROWING = ['requests', 'transfers', 'chain', 'rollup_minutes', 'rollup_days', 'removed_requests', 'idempotency_keys'];
const NOW_MS = Date.UTC(2026, 10, 23, 12);
const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n };

/** The tables of a statement by the names it gives them, such as `r` for requests. */
function growingNames(sql: string): ReadonlySet<string> {
  const names = new Set(GROWING);
  for (const [, table = '', name = ''] of sql.matchAll(/\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)\s+(?:AS\s+)?([a-z])\b/g)) if (GROWING.includes(table)) names.add(name);
  return names;
}

/**
 * What in a statement's plan reads a growing table from its beginning. A walk in the order of an index is none where the
 * statement stops it after so many rows and nothing is sorted before.
 */
function scansOf(db: Database.Database, sql: string): readonly string[] {
  const names = growingNames(sql);
  // A plan does not hang on the values, but each must be there.
  const named = Object.fromEntries([...sql.matchAll(/@(\w+)/g)].map(([, name = '']) => [name, null]));
  const placed = [...sql.matchAll(/\?/g)].map(() => null);
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...placed, ...(Object.keys(named).length > 0 ? [named] : [])) as readonly { readonly detail: string }[];
  const details = plan.map(({ detail }) => detail);
  const isStopped = /\bORDER BY\b[\s\S]*\bLIMIT\b/.test(sql) && !details.some((detail) => detail.includes('TEMP B-TREE FOR ORDER BY'));
  return details.filter((detail) => {
    const [, name = ''] = /^SCAN (\w+)/.exec(detail) ?? [];
    return names.has(name) && !isStopped;
  });
}

t.test('no statement but the audit reads from beginning to end what grows with the requests', async (t) => {
  const path = `${t.testdir()}/books.db`;
  const db = openConnection({ path, readonly: false });
  t.teardown(() => db.close());
  bringForward(db, path);
  const statements = new Set<string>();
  const watched = Object.assign(Object.create(db), {
    prepare: (sql: string) => {
      statements.add(sql);
      return db.prepare(sql);
    },
  }) as typeof db;
  const books = createBooks(watched, 'test');
  t.ok(statements.size > 50, 'statements are compiled once, at the start');

  books.commit(() => {
    books.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs: NOW_MS });
    books.grant({ accountId: 'acct_ann', amount: 1_000_000n, reference: 'start', note: '', nowMs: NOW_MS });
    books.hold({ id: 'r1', accountId: 'acct_ann', keyId: 'key_1', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: false, ceiling: 10n, byok: undefined, nowMs: NOW_MS });
    books.settle({ ...endOf('r1', NOW_MS), price: { ...PRICE, rate: 0n }, charge: charge({ prompt: 1, cached: 0, completion: 1 }, PRICE, 0n) });
    books.removeRequests({ beforeMs: NOW_MS, most: 10 });
    books.removeMinutes({ beforeMs: NOW_MS, most: 10 });
  });
  // These put their statements together when they are called, by what is asked for.
  const page = { limit: 20, after: '100' };
  const span = { fromMs: NOW_MS - 40 * 86_400_000, toMs: NOW_MS };
  const filters = [{}, { accountId: 'acct_ann' }, { accountId: 'acct_ann', ...span }, span, { accountId: 'acct_ann', model: 'm', status: 'ok' }, { keyId: 'key_1' }, { mode: 'byok' as const }];
  for (const filter of filters) {
    books.listRequests(filter, page);
    books.requestsSince('0', filter, 20);
  }
  books.listTransfers({ limit: 20 });
  books.listTransfers({ accountId: 'acct_ann', limit: 20, after: '100' });
  for (const by of ['model', 'key', 'account', 'provider', 'mode', 'day'] as const) {
    books.usageTotals(by, span);
    books.usageTotals(by, { ...span, accountId: 'acct_ann' });
  }
  books.usageByMinute(span);
  books.minutesFrom();
  // A new wallet could mend transfers whose wallet is missing; SQLite looks for them only while some were booked so, in the same transaction.
  const planned = [...statements].filter((sql) => /^\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b/i.test(sql) && !sql.startsWith('INSERT INTO wallets'));
  const beside = new Database(path, { readonly: true });
  t.teardown(() => beside.close());
  const found = planned.flatMap((sql) => scansOf(beside, sql).map((detail) => `${detail}: ${sql.replace(/\s+/g, ' ')}`));
  t.same(found, []);

  // So that the rule above is seen to bite.
  t.not(scansOf(beside, 'SELECT sum(cost) FROM requests').length, 0);
  t.not(scansOf(beside, 'SELECT r.id FROM requests r ORDER BY r.latency_ms LIMIT 5').length, 0);
  t.not(scansOf(beside, `SELECT count(*) FROM transfers WHERE note = 'x'`).length, 0);
  t.same(scansOf(beside, 'SELECT upto FROM chain ORDER BY upto DESC LIMIT 1'), []);
});
