import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { readSource } from '../src/settings/source.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'findtoken-build-'));
t.teardown(() => rmSync(place, { recursive: true, force: true }));

/** A checkout after `npm ci`, without the packages that npm left out because nothing could build them. */
function checkoutWithout(...missing: readonly string[]): string {
  const folder = mkdtempSync(join(place, 'checkout-'));
  for (const name of ['.ci', 'bin', 'config', 'src']) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  mkdirSync(join(folder, 'node_modules'));
  const installed = readdirSync(join(ROOT, 'node_modules')).filter((name) => !name.startsWith('.') && !missing.includes(name));
  for (const name of installed) symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  return folder;
}

function node(folder: string, ...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const done = spawnSync(process.execPath, args, { cwd: folder, env: { HOME: place, PATH: process.env['PATH'] }, encoding: 'utf8' });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

t.test('where no compiler built SQLite, the program is built all the same, and says what is missing', async (t) => {
  const folder = checkoutWithout('better-sqlite3', 'keytar');
  t.match(node(folder, '.ci/build.mjs'), { code: 0, out: /^build: the program in dist\/ in \d+ ms\n$/, err: '' });
  t.match(node(folder, 'bin/findtoken.js', 'models'), { code: 0, out: /^deepseek-chat\t/m }, 'what needs no database works');
  t.match(node(folder, 'bin/findtoken.js', 'accounts', 'create', 'ann@example.com'), {
    code: 1, out: '', err: /^findtoken: [^\n]*better-sqlite3 was not built[^\n]*compiler[^\n]*single executable[^\n]*\n$/,
  }, 'what needs one names the mend in one line');
  t.notOk(existsSync(join(place, '.local', 'share', 'findtoken', 'findtoken.db')), 'and leaves no half of a database');
});

t.test('the built-in catalogue is what its texts say, read by the build or anew', (t) => {
  const built = JSON.parse(readFileSync(join(ROOT, 'dist', 'catalog.json'), 'utf8')) as Readonly<Record<string, { readonly text: string; readonly data: unknown }>>;
  t.same(Object.keys(built), ['models.yaml', 'providers.yaml']);
  for (const [name, { text, data }] of Object.entries(built)) {
    t.equal(text, readFileSync(join(ROOT, 'config', name), 'utf8'));
    t.strictSame(data, readSource(name, text, {}).data, `${name}: the build reads it as the program does`);
  }
  const folder = checkoutWithout();
  t.match(node(folder, '.ci/build.mjs'), { code: 0 });
  const priceIn = () => (JSON.parse(node(folder, 'bin/findtoken.js', 'models', 'deepseek-chat', '--json').out) as { readonly pricing: { readonly prompt: string } }).pricing.prompt;
  t.equal(priceIn(), '0.00000014');
  const file = join(folder, 'config', 'models.yaml');
  const text = readFileSync(file, 'utf8');
  const changed = text.replace(/(deepseek-chat:[^]*?input: )0\.14/, '$10.15');
  t.not(changed, text);
  writeFileSync(file, changed);
  t.equal(priceIn(), '0.00000015', 'a text that was changed since is read anew');
  t.end();
});

t.test('a build that fails leaves what was built before', async (t) => {
  const folder = checkoutWithout();
  mkdirSync(join(folder, 'dist'));
  for (const name of ['program-OLDHASH.js', 'program-OLDHASH.js.map', 'program-OLDHASH.v20.0.0-linux-x64.cache']) writeFileSync(join(folder, 'dist', name), '');
  t.equal(node(folder, '.ci/build.mjs').code, 0);
  const built = readdirSync(join(folder, 'dist')).sort();
  t.ok(built.includes('program-OLDHASH.js'), 'a process that was started from an earlier build may still need it');
  const source = join(folder, 'src', 'faults.ts');
  rmSync(source);
  t.match(node(folder, '.ci/build.mjs'), { code: 1, err: /faults\.ts[^]*\nbuild: failed; dist is as it was\.\n$/ });
  t.same(readdirSync(join(folder, 'dist')).sort(), built, 'nothing is gone, and nothing half made is left');
  t.match(node(folder, 'bin/findtoken.js', 'models'), { code: 0, out: /^deepseek-chat\t/m });

  copyFileSync(join(ROOT, 'src', 'faults.ts'), source);
  const env = { HOME: place, PATH: process.env['PATH'], npm_config_update_notifier: 'false' };
  const packed = spawnSync('npm', ['pack'], { cwd: folder, env, encoding: 'utf8' });
  t.equal(packed.status, 0, 'npm packs it', { diagnostic: packed.status !== 0, err: packed.stderr });
  const [tarball = ''] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const { stdout: files } = spawnSync('tar', ['-tzf', tarball], { cwd: folder, encoding: 'utf8' });
  t.match(files, /^package\/dist\/program-\w+\.js$/m);
  t.notMatch(files, 'OLDHASH', 'a package to be published takes nothing of an earlier build along');
});

t.test('what the sources import of a package is in the text that takes its place', (t) => {
  const { vendors } = JSON.parse(readFileSync(join(ROOT, 'dist', 'program.json'), 'utf8')) as { readonly vendors: Readonly<Record<string, string>> };
  const packages = Object.keys(vendors).filter((name) => name !== 'screens');
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file));
  const wanted = sources.flatMap((file) => {
    const text = readFileSync(join(ROOT, 'src', file), 'utf8');
    return [...text.matchAll(/^import \{([^}]+)\} from '([^']+)';$/gm)].flatMap(([, names = '', from = '']) =>
      packages.includes(from) ? names.split(',').map((name) => name.trim()).filter((name) => !name.startsWith('type ')).map((name) => ({ from, name, file })) : []);
  });
  t.ok(wanted.length >= 5, 'the sources import by name');
  const asks = `const { FILES, loaderOf } = require('./bin/load.js');
    const loader = loaderOf(FILES);
    void loader.program().then(() => console.log(JSON.stringify(${JSON.stringify(wanted)}.map(({ from, name }) => typeof loader.vendor(from)[name]))));`;
  const { out, err } = node(ROOT, '-e', asks);
  t.equal(err, '');
  const found = JSON.parse(out) as readonly string[];
  for (const [at, { from, name, file }] of wanted.entries()) t.equal(found[at], 'function', `${name} of ${from}, which ${file} imports`);
  t.end();
});
