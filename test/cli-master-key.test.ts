import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { lockRotation } from '../src/ledger/index.ts';
import { openDesk } from './support/command-line.ts';

t.test('the master key is changed by one command at a time, and none loses the key of another', async (t) => {
  const desk = openDesk(t);
  writeFileSync(join(desk.home, 'findtoken.yaml'), `secrets: { master_key: "file:~/keys/master.key" }\n`);
  await desk.json('accounts', 'create', 'ann@example.com');
  t.match(await desk.run(['providers', 'set-key', 'deepseek', '--from-stdin'], { stdin: 'sk-0123456789abcdef' }), { code: 0 });
  const key = readFileSync(join(desk.home, 'keys', 'master.key'), 'utf8');
  const lock = lockRotation(desk.database);
  t.match(await desk.run(['rotate-master-key', '--yes']), { code: 1, out: '', err: new RegExp(`^findtoken: the master key of ${desk.database} is being changed by another command\\.`) });
  t.equal(readFileSync(join(desk.home, 'keys', 'master.key'), 'utf8'), key, 'the other one may be in the middle of it');
  lock.release();
  const both = await Promise.all([0, 1, 2].map(() => desk.run(['rotate-master-key', '--yes'])));
  t.ok(both.some(({ code }) => code === 0), 'one gets through');
  const { checks } = JSON.parse((await desk.run(['doctor', '--offline', '--json'])).out);
  t.match(checks.find(({ name }: { name: string }) => name === 'master_key'), { state: 'ok', detail: /opens 1 provider key$/ }, 'and what is sealed opens');
});
