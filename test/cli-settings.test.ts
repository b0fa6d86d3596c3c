import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openDesk } from './support/command-line.ts';

t.test('models and costs are told without a database, to the last digit', async (t) => {
  const desk = openDesk(t);
  writeFileSync(join(desk.home, 'findtoken.yaml'), 'models: { qwen-max: { priced: "2026-01-01" } }\n');
  t.match(await desk.json('models', 'deepseek-chat'), { id: 'deepseek-chat', object: 'model', owned_by: 'deepseek', pricing: { prompt: '0.00000014' }, equivalents: ['qwen-max', 'glm-4-plus', 'kimi-k2', 'minimax-m2.5'] });
  t.match(await desk.json('models'), { object: 'list', has_more: false, data: [{ id: 'deepseek-chat' }] });
  const listed = await desk.run(['models']);
  t.match(listed, { code: 0, out: /^model\tprovider\tcontext\tin \$\/M\tcached \$\/M\tout \$\/M\tequivalents\ndeepseek-chat\tdeepseek\t\d+\t0\.14\t0\.0028\t0\.28\t/ });
  t.match(listed.err, /Sold below the provider's list price: deepseek-chat, deepseek-coder, deepseek-reasoner, glm-4-plus\./);
  t.match(listed.err, /Prices older than 90 days: qwen-max\./);
  t.match((await desk.run(['models', 'deepseek-chat'])).out, /^list price\t\$0\.15 in, \$0\.003 cached, \$0\.6\d* out/m, 'what the provider takes, where that is known to differ');
  t.match(await desk.run(['models', 'deepseek-caht']), { code: 3, out: '', err: /did you mean deepseek-chat\?/ });
  const cases = [
    // arguments, what the document says, why
    [['--input', '1000000', '--output', '0'], { cost_exact: '0.14770000', fee_exact: '0.00770000', provider_cost_exact: '0.14000000' }, "the guide's $0.14/M + 5.5 %"],
    [['--input', '1000', '--output', '500', '--requests', '10000'], { cost_exact: '2.95400000', recharge_fee: 0.171926, payment: 3.125926 }, 'the recharge fee is a line of its own'],
    [['--input', '1', '--output', '0', '--requests', '1000000'], { per_request: { provider_cost_exact: '0.00000014', fee_exact: '0.00000001' }, cost_exact: '0.15000000' }, 'a request is rounded once, then multiplied'],
    [['--input', '1900', '--cached', '1200', '--output', '130'], { cost_exact: '0.00014534' }, 'cached tokens have their price'],
    [['--input', '1000', '--output', '500', '--requests', '1000000', '--mode', 'byok'], { free_requests: 1_000_000, fee_exact: '0.00000000', cost: 0, payment: 0, provider_cost: 280 }, 'BYOK within the free requests costs nothing here'],
    [['--input', '1000', '--output', '500', '--requests', '1000001', '--mode', 'byok'], { free_requests: 1_000_000, fee_exact: '0.00001400', cost_exact: '0.00001400' }, 'one beyond them: 5 % of $0.00028'],
    [['--input', '100000000', '--output', '100000000', '--requests', '1000000000000'], { cost_exact: '44310000000000.00000000' }, 'far above what a float holds'],
  ] as const;
  await Promise.all(cases.map(async ([args, says, why]) => t.match(await desk.json('cost', '--model', 'deepseek-chat', ...args), says, why)));
  t.match(await desk.run(['cost', '--model', 'deepseek-chat', '--input', '1000', '--output', '500', '--requests', '2000000', '--mode', 'byok']), { code: 0, out: /^free tier\t1000000 of 2000000 requests[^\n]*\nBYOK fee 5%\t\$14\.00[^]*^recharge fee 5\.5%\t/m });
  t.match(await desk.run(['cost', '--model', 'deepseek-chat', '--input', '1', '--cached', '2', '--output', '1']), { code: 2, err: /--cached is a part of --input/ });
});

t.test('settings are checked and shown with their origin, secrets masked', async (t) => {
  const desk = openDesk(t);
  const file = join(desk.home, 'findtoken.yaml');
  writeFileSync(file, 'server: { port: 9999 }\nproviders:\n  deepseek: { api_key: "sk-0123456789abcdef" }\n');
  t.match(await desk.run(['config', 'check']), { code: 0, out: `ok: ${file}\n`, err: '' });
  const { code, out } = await desk.run(['config', 'show']);
  t.equal(code, 0);
  t.match(out, /^server\.port\t9999\t.*findtoken\.yaml:1:\d+$/m);
  t.notMatch(out, /0123456789/);
  writeFileSync(file, 'server: { port: 9999 }\nproviders:\n  deepseek: { api_key: "sk-0123456789abcdef" }\nmodels:\n  qwen-max: { price: { input: 3 } }\n');
  const shown = await desk.run(['config', 'show']);
  t.match(shown.out, /^models\.qwen-max\.price\t\{ input: 3 \}\t.*findtoken\.yaml:5:\d+$/m, 'what is laid over a model has its row');
  const { data } = await desk.json('config', 'show');
  const values = Object.fromEntries((Array.isArray(data) ? data : []).map(({ path, value }) => [path, value]));
  t.match(values, { 'server.port': 9999, sandbox: false, 'routing.backoff': ['1s', '2s', '4s'], 'models.qwen-max.price': { input: 3 }, 'providers.deepseek.api_key': 'sk-…cdef' });
  writeFileSync(file, 'models:\n  qwen-max: { prise: "sk-0123456789abcdef" }\n');
  t.match(await desk.run(['config', 'show']), { code: 1, out: '', err: /findtoken\.yaml:2:\d+: models\.qwen-max\.prise: unknown key/ });
  writeFileSync(file, 'server: { port: 9999 }\nproviders:\n  deepseek: { api_key: "sk-0123456789abcdef" }\n');
  t.match(await desk.json('providers', 'list'), { data: [{ id: 'deepseek', object: 'provider', key: '…cdef', key_origin: 'config', health: null }] });
  writeFileSync(file, 'server: { prot: 9999 }\n');
  t.match(await desk.run(['config', 'check']), { code: 1, out: '', err: /^findtoken: .*findtoken\.yaml:1:\d+: server\.prot: unknown key\. Did you mean port\?\n$/ });
});

t.test('provider keys come in by standard input or a variable, and never go out', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  // A closed port of this machine stands in for a provider that cannot be reached.
  writeFileSync(join(desk.home, 'findtoken.yaml'), 'secrets: { master_key: "env:MASTER" }\nproviders:\n  deepseek: { base_url: "http://127.0.0.1:9/v1" }\n');
  const env = { MASTER: 'ab'.repeat(32), SECRET: 'sk-secret-from-env-4321' };
  const register = ['byok', 'register', 'deepseek', '--name', 'work'];
  t.match(await desk.run(register, { env }), { code: 2, out: '', err: /--from-stdin or --from-env NAME/ }, 'nobody can be asked in a pipe');
  t.match(await desk.run([...register, '--from-env', 'NOPE'], { env }), { code: 2, err: /"NOPE" of --from-env is empty/ });
  t.match(await desk.run([...register, '--from-stdin'], { env, stdin: 'sk-ft_mine' }), { code: 2, err: /findtoken key/ });
  t.match(await desk.run([...register, '--from-stdin', '--region', 'mars'], { env, stdin: 'sk-x' }), { code: 2, err: /region/ });
  const stored = await desk.run([...register, '--from-stdin', '--json'], { env, stdin: 'sk-secret-from-stdin-9876\n' });
  t.match(stored, { code: 0, err: /could not be reached \(connect\).*stored untested/ }, 'a provider that cannot be asked is no reason to refuse');
  const record = JSON.parse(stored.out);
  t.match(record, { id: /^byok_/, object: 'byok_key', provider: 'deepseek', name: 'work', region: null, key: 'sk-…9876' });
  t.match(await desk.run([...register, '--from-env', 'SECRET', '--no-test'], { env }), { code: 0, err: '', out: /sk-…4321/ }, '--no-test asks nobody');
  t.match(await desk.json('byok', 'list'), { object: 'list', data: [{ key: 'sk-…4321' }, { key: 'sk-…9876' }] });
  t.match(await desk.run(['byok', 'test', record.id, '--json'], { env }), { code: 1, out: /"verdict":"unknown"/ });
  t.match(await desk.run(['byok', 'remove', record.id]), { code: 2, err: /add --yes/ });
  t.strictSame(await desk.json('byok', 'remove', record.id, '--yes'), { id: record.id, object: 'byok_key', deleted: true });
  t.match(await desk.run(['byok', 'remove', record.id, '--yes']), { code: 3, err: /byok list/ });
  t.match(await desk.run(['providers', 'set-key', 'deepseek', '--from-env', 'SECRET', '--json'], { env }), { code: 0, out: /"key":"sk-…4321"/ });
  t.match(await desk.json('explain', 'deepseek-chat'), { mode: 'byok', candidates: [{ provider: 'deepseek', pricing: { prompt: '0.00000014', completion: '0.00000028', input_cache_read: '0.0000000028' }, health: null, health_reason: null }] }, 'the only account is meant; no daemon runs');
  t.match(await desk.run(['explain', 'deepseek-chat']), { code: 0, err: /^BYOK mode for ann@example\.com: with keys of the account's own\.\n/ });
  t.match(await desk.run(['explain', 'qwen-max', '--sandbox']), { code: 0, err: /^Standard mode for ann@example\.com: with the operator's keys\.\n/ });
  await desk.json('accounts', 'create', 'bob@example.com');
  t.match(await desk.json('explain', 'deepseek-chat'), { object: 'plan', mode: 'standard', routing: 'auto', candidates: [{ model: 'deepseek-chat', provider: 'deepseek' }], skipped: [{ kind: 'no_credential' }] }, 'of several, nobody is');
  t.match(await desk.run(['explain', 'deepseek-chat']), { code: 0, err: /^Standard mode: with the operator's keys\. --account EMAIL looks at the keys of an account\.\n/ });
  t.match(await desk.json('explain', 'deepseek-chat', '--account', 'ann@example.com', '--routing', 'cheapest'), { mode: 'byok', routing: 'cheapest', candidates: [{ provider: 'deepseek' }] });
  await desk.json('accounts', 'create', 'sandbox@localhost');
  t.match(await desk.json('explain', 'deepseek-chat', '--sandbox', '--account', 'sandbox@localhost'), { mode: 'standard', candidates: [{ provider: 'deepseek' }] }, 'play money is good while the sandbox is on');
  t.match(await desk.run(['explain', 'deepseek-chat', '--account', 'sandbox@localhost']), { code: 1, err: /with play money, which is good while the sandbox is on\.[^]*while the sandbox is off\.\n$/ });
  t.match(await desk.run(['explain', 'deepseek-caht']), { code: 3, err: /did you mean deepseek-chat/ });
  t.match(await desk.run(['chat', '-m', 'hi']), { code: 1, err: /daemon is not running.*findtoken serve/ });
  t.notMatch(readFileSync(desk.database).toString('latin1'), /secret-from/, 'the file holds no key in the clear');
});
