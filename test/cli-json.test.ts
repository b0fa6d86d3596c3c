import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { COMMANDS } from '../src/cli/program.ts';
import { entriesOf } from '../src/cli/tree/tree.ts';
import { openDesk } from './support/command-line.ts';
import type { Desk } from './support/command-line.ts';

/** Writes the shapes anew instead of comparing them: look at the difference before it is committed. A field that goes breaks somebody. */
const isWriting = process.env['SHAPES'] === 'write';
const SHAPES = new URL('fixtures/json-shapes.json', import.meta.url);
const PROVIDER_KEY = 'sk-good-good-good-1234';

/** Names of fields, as they are nested: `{object, data: [{id, name}], has_more, next}`. */
function shapeOf(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `[${shapeOf(value[0])}]`;
  if (typeof value !== 'object' || value === null) return '';
  return `{${Object.entries(value).map(([name, inner]) => `${name}${shapeOf(inner) === '' ? '' : `: ${shapeOf(inner)}`}`).join(', ')}}`;
}

async function startModels(t: Test): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ data: [{ id: 'deepseek-flash' }] })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

/** The id of the newest thing that a list shows. */
async function newest(desk: Desk, ...list: readonly string[]): Promise<string> {
  const { data } = await desk.json(...list);
  return Array.isArray(data) ? String(data[0].id) : '';
}

t.test('every command that prints has --json, and its fields are an agreement', { timeout: 350_000 }, async (t) => {
  const desk = openDesk(t);
  const base = await startModels(t);
  writeFileSync(join(desk.home, 'findtoken.yaml'), `server: { port: 0 }\nsandbox: true\nsecrets: { master_key: "file:${join(desk.home, 'keys', 'master.key')}" }\nproviders: { deepseek: { base_url: "${base}" } }\n`);
  const shapes: Record<string, string> = {};
  const secrets: string[] = [];
  const call = async (path: string, args: readonly string[] = [], stdin = ''): Promise<unknown> => {
    const { code, out, err } = await desk.run([...path.split(' '), '--json', ...args], { stdin });
    t.ok(code === 0 || (code === 1 && err !== ''), `${path}: ${err}`);
    const document: unknown = JSON.parse(out);
    shapes[path] = shapeOf(document);
    if (path === 'keys create' && typeof document === 'object' && document !== null && 'key' in document) secrets.push(String(document.key));
    else for (const secret of secrets) t.notOk(out.includes(secret) || /sk-ft_[0-9a-f]{64}|token=[0-9a-f]/.test(out), `${path} bears no secret`);
    return document;
  };

  secrets.push(PROVIDER_KEY);
  await call('init', ['--key-file', 'first.key']);
  await call('accounts create', ['ann@example.com', '--pending']);
  await call('mail list');
  for (const verb of ['show', 'deactivate', 'activate']) await call(`accounts ${verb}`, ['ann@example.com', '--yes']);
  await call('accounts set', ['ann@example.com', '--requests-per-minute', '5']);
  await call('accounts list');
  const me = ['--account', 'me@localhost'];
  await call('keys create', [...me, '--name', 'laptop']);
  await call('credits grant', [...me, '5', '--note', 'x']);
  await call('byok register', [...me, 'deepseek', '--name', 'work', '--from-stdin'], PROVIDER_KEY);
  await call('byok list', me);
  const byok = await newest(desk, 'byok', 'list', ...me);
  await call('byok test', [...me, byok]);
  await call('providers set-key', ['deepseek', '--from-stdin'], PROVIDER_KEY);
  for (const path of ['providers list', 'providers test', 'catalog check', 'models', 'config show', 'config check', 'man']) await call(path);
  await call('completion', ['bash']);
  await call('connect', ['aider']);
  await call('cost', ['--model', 'deepseek-chat', '--input', '1', '--output', '1']);

  const daemon = desk.start(['serve', '--json']);
  // Its whole welcome is one line, with the sandbox's key; what it logs goes to stderr.
  const welcome = JSON.parse(await daemon.line());
  shapes['serve'] = shapeOf(welcome);
  t.match(welcome, { object: 'daemon', url: /^http:\/\/127\.0\.0\.1:\d+$/, base_url: `${welcome.url}/v1`, sandbox: true, account: 'sandbox@localhost', key: /^sk-ft_[0-9a-f]{64}$/ });
  secrets.push(welcome.key);
  // What the daemon is about, it publishes once a second.
  for (let tries = 0; tries < 40 && (await desk.json('status'))['running'] !== true; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
  await call('chat', [...me, 'sandbox-chat', '-m', 'hi']);
  const hasHealth = async (): Promise<boolean> => /"health":\[\{/.test((await desk.run(['status', '--json'])).out);
  for (let tries = 0; tries < 40 && !(await hasHealth()); tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
  for (const path of ['status', 'stats', 'logs', 'reload', 'doctor']) await call(path);
  await call('usage', ['--by', 'key']);
  await call('explain', ['deepseek-chat', ...me]);
  for (const path of ['export', 'statement']) await call(path, [new Date().toISOString().slice(0, 7)]);
  await call('transfers list');
  await call('balance', me);
  await call('keys list', me);
  await call('keys revoke', [...me, await newest(desk, 'keys', 'list', ...me), '--yes']);
  // A provider has a real key, so only the sandbox's own account pays in play money.
  await call('recharge', ['--account', 'sandbox@localhost', '20', '--no-wait']);
  const recharge = await newest(desk, 'recharges', 'list');
  await call('recharges sync');
  await fetch(`${welcome.url}/sandbox/checkout/${recharge}`, { method: 'POST' });
  await call('recharges list');
  await call('recharges refund', [recharge, '--dry-run']);
  await call('byok remove', [...me, byok, '--yes']);
  await call('backup', ['b.db']);
  await call('audit');
  daemon.interrupt('SIGTERM');
  t.match(await daemon.ended, { code: 0 });
  await call('restore', ['b.db', '--yes']);
  await call('rotate-master-key', ['--yes']);
  await call('providers remove-key', ['deepseek', '--yes']);
  await call('service install', ['--kind', 'systemd', '--dry-run']);

  t.same(Object.keys(shapes).sort(), entriesOf(COMMANDS).map(({ path }) => path).sort(), 'no command is left out');
  const sorted = Object.fromEntries(entriesOf(COMMANDS).flatMap(({ path }) => (shapes[path] === undefined ? [] : [[path, shapes[path]] as const])));
  if (isWriting) writeFileSync(SHAPES, `${JSON.stringify(sorted, undefined, 2)}\n`);
  t.same(sorted, JSON.parse(readFileSync(SHAPES, 'utf8')), 'SHAPES=write writes them anew');
});
