import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

t.test('a master key that is gone for good is left behind with what it sealed, and no slip does that', async (t) => {
  const desk = openDesk(t);
  const file = join(desk.home, 'keys', 'master.key');
  const settings = (key: string) => writeFileSync(join(desk.home, 'findtoken.yaml'), `server: { port: 0 }\nsecrets: { master_key: "file:${key}" }\nproviders: { deepseek: { base_url: "http://127.0.0.1:9/v1" } }\n`);
  settings(file);
  for (const email of ['ann@example.com', 'bea@example.com']) {
    await desk.json('accounts', 'create', email);
    t.match(await desk.run(['byok', 'register', 'deepseek', '--name', 'w', '--from-stdin', '--no-test', '--account', email], { stdin: 'sk-mine-mine-mine-1234' }), { code: 0 });
  }
  t.match(await desk.run(['providers', 'set-key', 'deepseek', '--from-stdin'], { stdin: 'sk-0123456789abcdef' }), { code: 0 });
  const lost = ['rotate-master-key', '--lost'];
  t.match(await desk.run([...lost, '--yes']), { code: 1, out: '', err: /^findtoken: the master key is there, in the file [^\n]*master\.key, and nothing is lost\.[^\n]*\n$/ });
  t.match(await desk.run([...lost, '--forget-old']), { code: 2, err: /exclude each other/ });
  chmodSync(file, 0o644);
  t.match(await desk.run([...lost, '--yes']), { code: 1, err: /chmod 600/ }, 'a key that may not be used is there, too');

  rmSync(file);
  t.match(await desk.run(['serve']), { code: 1, err: /holds no master key[^\n]*`findtoken rotate-master-key --lost`/ }, 'the refusal of a start names the way out');
  t.match(await desk.run(['providers', 'set-key', 'deepseek', '--from-stdin'], { stdin: 'sk-0123456789abcdef' }), { code: 1, err: /rotate-master-key --lost/ });
  t.match(await desk.run(lost), { code: 2, err: /add --yes/ });
  t.match((await desk.json('byok', 'list', '--account', 'bea@example.com'))['data'], { length: 1 }, 'nothing was forgotten so far');
  const begun = await desk.json(...lost, '--yes');
  t.match(begun, { object: 'master_key_rotation', source: /master\.key$/, resealed: 0, forgotten: 3 });
  t.not(begun['fingerprint'], begun['fingerprint_before']);
  t.strictSame((await desk.json('byok', 'list', '--account', 'bea@example.com'))['data'], []);
  t.match(await desk.run(['providers', 'set-key', 'deepseek', '--from-stdin'], { stdin: 'sk-0123456789abcdef' }), { code: 0 }, 'keys are registered again');
  t.match(await desk.json('doctor', '--offline'), { fail: 0 });
  const daemon = desk.start(['serve']);
  t.match(await daemon.line(), /is listening/, 'and the daemon starts');
  daemon.interrupt();
  t.match(await daemon.ended, { code: 0 });
  t.match(await desk.run(['audit']), { code: 0 });

  settings(join(desk.home, 'elsewhere', 'master.key'));
  t.match(await desk.json(...lost, '--yes'), { source: /elsewhere\/master\.key$/, forgotten: 1 }, 'the new one comes to lie where the settings say');
});

t.test('a running daemon goes over to the key that comes after a lost one', async (t) => {
  const desk = openDesk(t);
  const file = join(desk.home, 'keys', 'master.key');
  writeFileSync(join(desk.home, 'findtoken.yaml'), `server: { port: 0 }\nsecrets: { master_key: "file:${file}" }\nrouting: { retries: 0, deadline: 3s }\nproviders: { deepseek: { base_url: "http://127.0.0.1:9/v1" } }\n`);
  await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '5', '--note', 'x');
  const { key } = await desk.json('keys', 'create', '--name', 'k');
  const setKey = () => desk.run(['providers', 'set-key', 'deepseek', '--from-stdin'], { stdin: 'sk-0123456789abcdef' });
  await setKey();
  const daemon = desk.start(['serve']);
  const url = /http:\S+/.exec(await daemon.line())?.[0] ?? '';
  const call = async () => {
    const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${String(key)}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'x' }] }) });
    const { error }: { readonly error: { readonly message: string } } = JSON.parse(await answer.text());
    return error.message;
  };
  t.match(await call(), /tried deepseek-chat at deepseek/);
  rmSync(file);
  t.match(await desk.json('rotate-master-key', '--lost', '--yes'), { forgotten: 1 });
  t.match(await call(), /no key for deepseek/, 'what was forgotten is used no more');
  await setKey();
  t.match(await call(), /tried deepseek-chat at deepseek/, 'what was registered anew is');
  t.match(await desk.run(['providers', 'remove-key', 'deepseek', '--yes']), { code: 0, err: 'Removed the stored key for deepseek.\n' });
  t.match(await call(), /no key for deepseek/, 'and so with a key that is taken away');
  daemon.interrupt();
  t.match(await daemon.ended, { code: 0 });
});

t.test('a stored key of the operator is taken away again', async (t) => {
  const desk = openDesk(t);
  const settings = (more = '') => writeFileSync(join(desk.home, 'findtoken.yaml'), `secrets: { master_key: "file:~/keys/master.key" }\n${more}`);
  settings('providers: { own: { base_url: "http://127.0.0.1:9/v1" } }\n');
  await desk.json('accounts', 'create', 'ann@example.com');
  for (const name of ['qwen', 'own']) t.match(await desk.run(['providers', 'set-key', name, '--from-stdin'], { stdin: 'sk-0123456789abcdef' }), { code: 0 });
  t.match(await desk.run(['providers', 'remove-key', 'deepseek', '--yes']), { code: 3, err: /^findtoken: no key of yours is stored for deepseek; `findtoken providers list`/ });
  t.match(await desk.run(['providers', 'remove-key', 'qwne', '--yes']), { code: 3, err: /did you mean qwen/ });
  t.match(await desk.run(['providers', 'remove-key', 'qwen']), { code: 2, err: /add --yes/ });
  t.strictSame(await desk.json('providers', 'remove-key', 'qwen', '--yes'), { id: 'qwen', object: 'provider_key', deleted: true });
  settings();
  t.match(await desk.run(['providers', 'remove-key', 'own', '--yes'], { env: { QWEN_API_KEY: 'sk-0123456789abcdef' } }), { code: 0, err: 'Removed the stored key for own.\n' }, 'also of a provider that the settings no longer have');
  await desk.run(['providers', 'set-key', 'qwen', '--from-stdin'], { stdin: 'sk-0123456789abcdef' });
  t.match(await desk.run(['providers', 'remove-key', 'qwen', '--yes'], { env: { QWEN_API_KEY: 'sk-0123456789abcdef' } }), { code: 0, err: /takes its place/ });
});
