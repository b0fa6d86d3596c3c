import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { entriesOf, flagsOf, GLOBAL_OPTIONS } from '../src/cli/tree/tree.ts';
import { COMMANDS } from '../src/cli/program.ts';
import { FAULTS } from '../src/faults.ts';
import { ROUTES } from '../src/gateway/index.ts';
import { describeSettings } from '../src/settings/index.ts';
import { clientPages } from './support/client-pages.ts';
import { openHouse } from './support/house.ts';
import { blocksOf, commandsOf } from './support/snippets.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const page = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const DOCS = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
const PAGES = ['README.md', 'src/README.md', 'CHANGELOG.md', ...DOCS];

for (const name of ['docs/http.md', 'docs/troubleshooting.md']) {
  t.test(`${name} tells every error there is, and none that is not`, async (t) => {
    const told = new Map([...page(name).matchAll(/^\| (\d{3}) \| `(\w+)` \|/gm)].map(([, status, code]) => [code, Number(status)]));
    for (const [code, { status }] of Object.entries(FAULTS)) t.equal(told.get(code), status, `${code} is told, with its status`);
    for (const code of told.keys()) t.ok(code !== undefined && code in FAULTS, `${code} exists`);
  });
}

t.test('the page of the HTTP API tells every path, and none that is not', async (t) => {
  const told = new Set([...page('docs/http.md').matchAll(/^\| `((?:GET|POST|DELETE) \/[^`?]*)/gm)].map(([, call]) => call));
  const served = new Set(ROUTES.map(({ method, path }) => `${method} ${path}`));
  for (const call of served) t.ok(told.has(call), `${call} is told`);
  for (const call of told) t.ok(call !== undefined && served.has(call), `${call} exists`);
});

t.test('the page on operations tells every metric there is, and none that is not', async (t) => {
  const house = await openHouse(t, { books: 'cli', sandbox: true });
  const served = new Set([...(await (await house.get('/metrics')).text()).matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name));
  const told = new Set([...page('docs/operations.md').matchAll(/`((?:findtoken|gen_ai|process)_\w+)`/g)].map(([, name]) => name));
  t.same(told, served);
  const asked = [...page('docs/recipes.md').matchAll(/\b((?:findtoken|gen_ai|process)_[a-z_]+?)(?:_bucket)?(?=[{[) ])/g)].map(([, name = '']) => name);
  t.ok(asked.length >= 5);
  for (const name of asked) t.ok(served.has(name), `the alerts ask for ${name}`);
});

t.test('the pages of the clients are what `findtoken connect` prints', async (t) => {
  const pages = clientPages();
  for (const [name, text] of pages) t.equal(page(`docs/clients/${name}`), text, `docs/clients/${name}; npm run docs:clients writes it anew`);
  t.same(readdirSync(join(ROOT, 'docs/clients')).sort(), [...pages.keys()].sort());
});

t.test('the README shows first what a stranger looks for', async (t) => {
  const lines = page('README.md').split('\n').slice(0, 40);
  const order = ['# findtoken', '<picture>', '**A self-hosted', '- **', '```sh', '```python'].map((start) => lines.findIndex((line) => line.startsWith(start)));
  t.ok(order.every((line, at) => line > (order[at - 1] ?? -1)), 'picture, sentence, bullets, commands, snippet, on the first forty lines', { order });
  t.equal(lines.filter((line) => line.startsWith('- **')).length, 4, 'four bullets');
  const [first] = blocksOf(page('README.md'));
  t.equal(commandsOf(first?.text ?? '').length, 2, 'two commands');
  t.match(page('README.md').split('\n').slice(40).join('\n'), /^## The map$/m);
});

t.test('no link leads nowhere, on no page', async (t) => {
  for (const name of PAGES) {
    for (const [, target = '', anchor] of page(name).matchAll(/\]\((?!https?:)([^)#:]*)(?:#([^)]*))?\)/g)) {
      const file = target === '' ? name : join(dirname(name), target);
      t.ok(existsSync(join(ROOT, file)), `${name} → ${target}`);
      if (anchor !== undefined) t.ok(anchorsOf(file).has(anchor), `${name} → ${target}#${anchor}`);
    }
  }
  const reached = new Set(PAGES.flatMap((name) => [...page(name).matchAll(/\]\((?!https?:)([^)#:]+)/g)].map(([, target = '']) => join(dirname(name), target))));
  for (const name of DOCS) t.ok(reached.has(name), `${name} is linked from somewhere`);
});

t.test('every setting that a page names exists', async (t) => {
  const paths = describeSettings().map(({ path }) => path);
  const sections = new Set(paths.map((path) => path.split('.')[0]));
  const known = new Set(paths.map((path) => path.replace(/\bID\b/g, '*')));
  for (const name of PAGES) {
    for (const [, section = '', rest = ''] of page(name).matchAll(/`([a-z]+)\.([a-z_]+(?:\.[a-z_]+)?)(?::[^`]*)?`/g)) {
      if (!sections.has(section) || /\.(md|db|yaml)$/.test(`${section}.${rest}`) || section === 'findtoken') continue;
      const path = `${section}.${rest}`;
      const isOfCatalogue = ['providers', 'models', 'equivalents'].includes(section);
      t.ok(isOfCatalogue || known.has(path), `${name}: ${path}`);
    }
  }
});

t.test('every command that a page names exists, with its options', async (t) => {
  const entries = entriesOf(COMMANDS);
  const words = new Set(entries.map(({ path }) => path));
  const nouns = new Set(entries.map(({ path }) => path.split(' ')[0]));
  const optionsOf = (path: string) => new Set([...(entries.find((entry) => entry.path === path)?.options ?? []), ...GLOBAL_OPTIONS].flatMap(flagsOf).concat('--help', '-h', '--version'));
  for (const name of PAGES.filter((one) => one !== 'docs/cli.md')) {
    const inline = [...page(name).replace(/^```[^]*?^```/gm, '').matchAll(/`findtoken ([^`]+)`/g)].map(([, rest = '']) => rest);
    const fenced = blocksOf(page(name)).filter(({ language }) => language === 'sh').flatMap(({ text }) => commandsOf(text)).flatMap((line) => /^(?:sudo |docker exec \w+ )?findtoken (.*)$/.exec(line)?.[1] ?? []);
    for (const command of [...inline, ...fenced]) {
      const parts = command.split(/\s+/).filter((part) => part !== '');
      const plain = parts.filter((part, at) => !part.startsWith('-') && !['--config', '--account'].includes(parts[at - 1] ?? ''));
      const path = words.has(plain.slice(0, 2).join(' ')) ? plain.slice(0, 2).join(' ') : (plain[0] ?? '');
      t.ok(words.has(path) || (path !== '' && nouns.has(path) && plain.length === 1) || path === '', `${name}: findtoken ${command}`);
      if (words.has(path)) for (const flag of parts.filter((part) => part.startsWith('-') && part.length > 1)) t.ok(optionsOf(path).has(flag.replace(/=.*$/, '')), `${name}: findtoken ${path} has ${flag}`);
    }
  }
});

/** The anchors of a page's headings, as code hosts make them. */
function anchorsOf(name: string): ReadonlySet<string> {
  const headings = [...page(name).replace(/^```[^]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(headings.map((heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')));
}
