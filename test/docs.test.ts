import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { FAULTS } from '../src/faults.ts';
import { ROUTES } from '../src/gateway/index.ts';

const page = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

t.test('the page of the HTTP API tells every error there is, and none that is not', async (t) => {
  const told = new Map([...page('docs/http.md').matchAll(/^\| (\d{3}) \| `(\w+)` \|/gm)].map(([, status, code]) => [code, Number(status)]));
  for (const [code, { status }] of Object.entries(FAULTS)) t.equal(told.get(code), status, `${code} is told, with its status`);
  for (const code of told.keys()) t.ok(code !== undefined && code in FAULTS, `${code} exists`);
});

t.test('it tells every path, and none that is not', async (t) => {
  const told = new Set([...page('docs/http.md').matchAll(/^\| `((?:GET|POST|DELETE) \/[^`?]*)/gm)].map(([, call]) => call));
  const served = new Set(ROUTES.map(({ method, path }) => `${method} ${path}`));
  for (const call of served) t.ok(told.has(call), `${call} is told`);
  for (const call of told) t.ok(call !== undefined && served.has(call), `${call} exists`);
});

t.test('no link of the README or the docs leads nowhere', async (t) => {
  for (const [name, folder] of [['README.md', ''], ['docs/http.md', 'docs/'], ['docs/configuration.md', 'docs/'], ['docs/billing.md', 'docs/'], ['docs/routing.md', 'docs/'], ['docs/recharges.md', 'docs/'], ['docs/accounts.md', 'docs/'], ['docs/install.md', 'docs/'], ['docs/reliability.md', 'docs/'], ['docs/SECURITY.md', 'docs/'], ['docs/performance.md', 'docs/'], ['src/README.md', 'src/']] as const) {
    for (const [, target] of page(name).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      t.ok(existsSync(new URL(`../${folder}${target}`, import.meta.url)), `${name} → ${target}`);
    }
  }
});
