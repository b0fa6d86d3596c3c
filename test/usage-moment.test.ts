// What totals say while a daemon writes.
import t from 'tap';
import { openLedger } from '../src/ledger/index.ts';
import { parseUsd } from '../src/money/index.ts';
import { book } from './support/command-line.ts';

const DAY_MS = 86_400_000;

t.test('several groupings are of one moment, while a daemon writes', async (t) => {
  const path = `${t.testdir()}/books.db`;
  const daemon = await openLedger({ path, as: 'daemon' });
  await daemon.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs: 1 });
  await daemon.grant({ accountId: 'acct_ann', amount: parseUsd('100'), reference: 'g', note: '', nowMs: 1 });
  const reader = await openLedger({ path, as: 'read' });
  let isOver = false;
  const line = async (no: number): Promise<void> => {
    for (let at = 0; !isOver; at += 1) await book(daemon, { id: `req_${no}_${at}`, accountId: 'acct_ann', keyId: 'key_1', prompt: 10, completion: 1, atMs: DAY_MS });
  };
  const lines = [1, 2, 3].map(line);
  let [torn, seen] = [0, 0];
  const groupings = ['model', 'day', 'key', 'account', 'mode', 'provider'] as const;
  for (let looks = 0; looks < 300; looks += 1) {
    const tables = await reader.usageTables(groupings, { fromMs: 0, toMs: 3 * DAY_MS });
    const counts = tables.map((rows) => rows.reduce((sum, { requests }) => sum + requests, 0));
    if (new Set(counts).size > 1) torn += 1;
    seen = Math.max(seen, ...counts);
    await new Promise((resolve) => setImmediate(resolve));
  }
  isOver = true;
  await Promise.all(lines);
  t.equal(torn, 0);
  t.ok(seen > 10, `${seen} requests ended meanwhile`);
  await reader.close();
  await daemon.close();
});
