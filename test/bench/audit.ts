import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openLedger } from '../../src/ledger/index.ts';
import { charge } from '../../src/money/index.ts';

const TRANSFERS = Number(process.env['FINDTOKEN_AUDIT_TRANSFERS'] ?? 1_000_000);
const ATONCE = 512;
const PRICE = { input: 140_000n, cachedInput: 2_800n, output: 280_000n };
const USAGE_FEE = 55_000n;

t.test(`how long the audit of ${TRANSFERS} transfers takes`, { timeout: 600_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-audit-'));
  const path = join(folder, 'findtoken.db');
  const nowMs = Date.now();
  const books = await openLedger({ path, as: 'daemon' });
  await books.createAccount({ id: 'acct_1', email: 'ann@example.com', status: 'active', nowMs });
  await books.grant({ accountId: 'acct_1', amount: 100_000_000_000n, reference: 'bench', note: 'bench', nowMs });
  const cost = charge({ prompt: 100, cached: 0, completion: 10 }, PRICE, USAGE_FEE);
  let next = 0;
  const work = async () => {
    // Every request writes two transfers: the provider's part and the fee.
    while (next < TRANSFERS / 2) {
      const id = `req_${String((next += 1)).padStart(9, '0')}`;
      await books.hold({ id, accountId: 'acct_1', keyId: 'key_1', mode: 'standard', model: 'deepseek-chat', requestedModel: 'deepseek-chat', provider: 'deepseek', stream: false, ceiling: 100_000n, byok: undefined, nowMs });
      await books.settle({
        id, status: 'ok', model: '', provider: '', promptTokens: 100, cachedTokens: 0, completionTokens: 10, reasoningTokens: 0, usageOrigin: 'reported',
        latencyMs: 1, firstByteMs: undefined, attempts: 1, nowMs, price: { ...PRICE, rate: USAGE_FEE }, charge: cost,
      });
    }
  };
  const filledMs = performance.now();
  await Promise.all(Array.from({ length: ATONCE }, work));
  const filled = (performance.now() - filledMs) / 1_000;
  await books.close();
  const reader = await openLedger({ path, as: 'read' });
  const startedMs = performance.now();
  const report = await reader.audit();
  const audited = (performance.now() - startedMs) / 1_000;
  await reader.close();
  rmSync(folder, { recursive: true });
  t.comment(`${report.requests} requests written in ${filled.toFixed(1)} s; ${report.transfers} transfers audited in ${audited.toFixed(1)} s`);
  t.same(report.findings, [], 'the books are sound');
});
