import { openLedger } from '../../src/ledger/index.ts';
import { settlementOf } from './stories.ts';

/** A daemon to be killed: takes holds for ever, notes the progress of every second one, and prints how many were answered. */
const [, , path = ''] = process.argv;
const nowMs = Date.UTC(2026, 10, 23);
const ledger = await openLedger({ path, as: 'daemon' });
await ledger.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs });
await ledger.grant({ accountId: 'acct_ann', amount: 1_000_000n, reference: 'start', note: '', nowMs });
for (let n = 1; ; n += 1) {
  const id = `req_${n}`;
  await ledger.hold({
    id, accountId: 'acct_ann', keyId: 'key_ann', mode: 'standard', model: 'deepseek-chat', requestedModel: 'deepseek-chat',
    provider: 'deepseek', stream: true, ceiling: 10n, byok: undefined, nowMs,
  });
  if (n % 2 === 0) await ledger.progress(id, settlementOf(id, '6+1', nowMs));
  process.stdout.write(`${n}\n`);
}
