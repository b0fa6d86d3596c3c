import t from 'tap';
import { createPendingAccount } from '../src/accounts/index.ts';
import { parseUsd } from '../src/money/index.ts';
import { book, openDesk } from './support/command-line.ts';

t.test('a list that goes on is read to its end', async (t) => {
  const desk = openDesk(t);
  const { id: accountId } = await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '10', '--note', 'x');
  const { id: keyId } = await desk.json('keys', 'create', '--name', 'laptop');
  const ledger = await desk.ledger();
  const ids: Record<string, string[]> = { 'logs': [], 'recharges list': [], 'mail list': [] };
  for (let at = 1; at <= 3; at += 1) {
    const nowMs = Date.now() + at;
    await book(ledger, { id: `req_${at}`, accountId: String(accountId), keyId: String(keyId), prompt: 10, completion: 1, atMs: nowMs });
    await ledger.startRecharge({ id: `rch_${at}`, accountId: String(accountId), amount: parseUsd('10'), fee: parseUsd('0.55'), credits: parseUsd('9.45'), currency: 'usd', nowMs });
    await createPendingAccount({ ledger, nowMs: () => nowMs, publicUrl: 'http://127.0.0.1:8787' }, { email: `p${at}@example.com` });
  }
  await ledger.close();
  for (const [command, seen] of Object.entries(ids)) {
    const words = command.split(' ');
    let next: unknown;
    do {
      const page = await desk.json(...words, '--limit', '1', ...(typeof next === 'string' ? ['--after', next] : []));
      if (Array.isArray(page['data'])) seen.push(...page['data'].map((row: { readonly id: string }) => row.id));
      next = page['next'];
    } while (typeof next === 'string');
    t.equal(new Set(seen).size, 3, `${command}: each row once`);
    t.match(await desk.run([...words, '--after', 'nowhere']), { code: 2, out: '', err: /Use the "next" of the page before/ }, command);
  }
  t.match(await desk.run(['logs', '--follow', '--after', '1']), { code: 2, err: /--follow.*--after/ });
});
