import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { failureLine } from '../src/cli/failure.ts';

/** What `npm install` of the package puts on a user's disk: the tarball, unpacked, with nothing of the checkout around it. */
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'findtoken-package-'));
t.teardown(() => rmSync(place, { recursive: true, force: true }));
// The build has run before the tests; packing must not start another beside them.
execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', place], { cwd: ROOT, stdio: 'ignore' });
const [tarball = ''] = readdirSync(place);
execFileSync('tar', ['-xzf', tarball], { cwd: place });
const folder = join(place, 'package');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });

function run(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const done = spawnSync(process.execPath, [join(folder, 'bin', 'findtoken.js'), ...args], { cwd: place, env: { HOME: place, NO_COLOR: '1' }, encoding: 'utf8' });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

t.test('the package holds what the program needs, and nothing else', async (t) => {
  for (const name of ['bin/findtoken.js', 'bin/load.js', 'bin/package.json', 'dist/program.json', 'dist/catalog.json', 'dist/ledger-worker.js', 'dist/NOTICES.txt', 'config/models.yaml', 'config/providers.yaml', 'findtoken.example.yaml', 'package.json', 'LICENSE', 'README.md', 'CHANGELOG.md', 'docs/install.md']) {
    t.ok(files.includes(name), name);
  }
  const listed: { readonly program: string; readonly vendors: Readonly<Record<string, string>> } = JSON.parse(readFileSync(join(folder, 'dist/program.json'), 'utf8'));
  for (const name of [listed.program, ...Object.values(listed.vendors)]) t.ok(files.includes(`dist/${name}.js`), `dist/${name}.js`);
  const allowed = /^(bin|config|dist|docs|[A-Z]+(\.md)?|package\.json|findtoken\.example\.yaml|bin\/(findtoken\.js|load\.js|package\.json)|dist\/(program|catalog)\.json|dist\/NOTICES\.txt|config\/\w+\.yaml|docs\/clients|docs\/(clients\/)?[\w-]+\.md|docs\/stats-(dark|light)\.svg|src|src\/README\.md|dist\/[\w-]+\.js(\.map)?|dist\/[\w-]+\.v[\d.]+-\w+-\w+\.cache)$/;
  t.same(files.filter((name) => !allowed.test(name)), [], 'no sources, no tests, no single executable');
});

t.test('who reads its pages finds every page and picture that they lead to', async (t) => {
  const pages = files.filter((name) => name.endsWith('.md'));
  t.ok(pages.length > 20);
  for (const name of pages) {
    const text = readFileSync(join(folder, name), 'utf8');
    for (const [, target = ''] of text.matchAll(/(?:\]\(|\bsrc(?:set)?=")(?!https?:)([^)#":\s]+)/g)) t.ok(existsSync(join(folder, dirname(name), target)), `${name} → ${target}`);
  }
});

t.test('without its native module it starts, and says what is missing and the mend in one line', async (t) => {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  t.equal(name, 'findtoken');
  t.same(run('--version'), { code: 0, out: `${version}\n`, err: '' });
  t.equal(run('--help').code, 0);
  const { code, out, err } = run('accounts', 'create', 'ann@example.com');
  t.match({ code, out }, { code: 1, out: '' });
  t.match(err, /^findtoken: [^\n]*better-sqlite3 was not built[^\n]*compiler[^\n]*single executable[^\n]*\n$/);
  t.match(run('doctor', '--offline'), { code: 1, out: /\nfail\tbetter-sqlite3\t[^\n]*\t[^\n]+\n/ }, 'the doctor finds it, and looks on');
});

t.test('what is bundled is no dependency, and comes with its licence', async (t) => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  t.same(dependencies ?? {}, {});
  t.same(Object.keys(optionalDependencies), ['better-sqlite3', 'keytar'], 'native modules cannot be bundled; nothing else is left outside');
  // SQLite's own helpers, and what fetches or builds the two.
  const listed = spawnSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: ROOT, encoding: 'utf8' });
  t.ok(listed.stdout.trim().split('\n').slice(1).length <= 40, 'an installation brings at most 40 packages along', { listed: listed.stdout });

  const notices = readFileSync(join(folder, 'dist/NOTICES.txt'), 'utf8');
  const carried = new Set(files.filter((name) => name.endsWith('.js.map')).flatMap((name) => {
    const { sources }: { readonly sources: readonly string[] } = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    return sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? []);
  }));
  t.ok(['commander', 'ink', 'react', 'stripe', 'undici', 'yaml'].every((name) => carried.has(name)));
  for (const name of carried) t.ok(notices.includes(`\n${name} `), `${name} stands in the notices`);
  for (const name of Object.keys(devDependencies).filter((name) => !carried.has(name))) t.notOk(notices.includes(`\n${name} `), `${name} does not, for it is not carried`);
});

t.test('with its dependencies it works from wherever it lies', async (t) => {
  mkdirSync(join(folder, 'node_modules'));
  for (const name of ['better-sqlite3', 'bindings', 'file-uri-to-path']) symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  t.match(run('models'), { code: 0, out: /^deepseek-chat\t/m });
  t.match(run('accounts', 'create', 'ann@example.com'), { code: 0, out: /ann@example\.com/ });
});

t.test('the files around SQLite\u2019s module are those of its own version', async (t) => {
  const installed = join(ROOT, 'node_modules', 'better-sqlite3');
  const own = join(folder, 'node_modules', 'better-sqlite3');
  rmSync(own);
  mkdirSync(own);
  for (const name of ['build', 'package.json']) symlinkSync(join(installed, name), join(own, name));
  t.match(run('accounts', 'list'), { code: 0, out: /ann@example\.com/ }, 'of the version that the program bears, only the module is needed');
  rmSync(join(own, 'package.json'));
  writeFileSync(join(own, 'package.json'), JSON.stringify({ name: 'better-sqlite3', version: '12.999.0', main: 'own.js' }));
  writeFileSync(join(own, 'own.js'), `console.log('its own files'); module.exports = require(${JSON.stringify(installed)});`);
  t.match(run('accounts', 'list'), { code: 0, out: /^its own files\n[^]*ann@example\.com/ }, 'of another version, its own files are used');
});

/** As `run`, in a process that takes itself for another version of Node. */
function runUnder(version: string, ...args: string[]): ReturnType<typeof run> {
  const guise = join(place, 'guise.cjs');
  writeFileSync(guise, `Object.defineProperty(process, 'version', { value: '${version}' });`);
  const done = spawnSync(process.execPath, ['--require', guise, join(folder, 'bin', 'findtoken.js'), ...args], { cwd: place, env: { HOME: place, NO_COLOR: '1' }, encoding: 'utf8' });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

t.test('a Node that is too old is told so in one line, whatever it was asked', async (t) => {
  const { engines } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  t.equal(engines.node, '>=20.20.0');
  for (const version of ['v18.20.8', 'v20.19.6']) {
    for (const args of [['--version'], ['serve', '--sandbox']]) {
      t.match(runUnder(version, ...args), { code: 1, out: '', err: new RegExp(`^findtoken: Node 20\\.20 or newer is needed, and this is ${version}: [^\\n]*single executable[^\\n]*\\n$`) });
    }
  }
  t.match(runUnder('v20.20.0', '--version'), { code: 0, err: '' });
});

t.test('better-sqlite3 from 13 on, which shows nobody where its module lies, is used by the Nodes that it is made for', async (t) => {
  const { optionalDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  t.match(optionalDependencies['better-sqlite3'], /^\^12\..* \|\| \^13\./, 'npm takes the newest that its Node may use');
  const own = join(folder, 'node_modules', 'better-sqlite3');
  writeFileSync(join(own, 'package.json'), JSON.stringify({ name: 'better-sqlite3', version: '13.2.0', exports: { '.': './own.js', './package.json': './package.json' } }));
  t.match(runUnder('v22.0.0', 'accounts', 'list'), { code: 0, out: /^its own files\n[^]*ann@example\.com/ });
  const refused = runUnder('v20.20.2', 'accounts', 'list');
  t.match(refused, { code: 1, err: /^findtoken: the better-sqlite3 that is installed needs Node 22 or newer, and this is v20\.20\.2: install findtoken again [^\n]*\n$/ }, 'with an older one it would crash');
  t.match(runUnder('v20.20.2', 'doctor', '--offline'), { code: 1, out: /\nfail\tbetter-sqlite3\t[^\n]*needs Node 22/ });
});

t.test('a module of SQLite that would end Node 24 in the middle of its work is refused', async (t) => {
  const installed = join(ROOT, 'node_modules', 'better-sqlite3');
  const own = join(folder, 'node_modules', 'better-sqlite3');
  rmSync(own, { recursive: true });
  symlinkSync(installed, own);
  t.match(runUnder('v24.21.0', 'accounts', 'list'), { code: 0, out: /ann@example\.com/ }, 'built with other headers it is as good as ever');
  rmSync(own);
  mkdirSync(join(own, 'build', 'Release'), { recursive: true });
  symlinkSync(join(installed, 'package.json'), join(own, 'package.json'));
  writeFileSync(join(own, 'build', 'Release', 'better_sqlite3.node'), '\u007fELF\0_ZN4node28RemoveEnvironmentCleanupHookEPN2v87IsolateEPFvPvES3_\0');
  t.match(runUnder('v24.21.0', 'accounts', 'list'), { code: 1, out: '', err: /^findtoken: [^\n]*headers of Node 24\.19 or newer[^\n]*\(v24\.21\.0\)[^\n]*better-sqlite3@13[^\n]*single executable\.\n$/ });
});

t.test('compiled code is used where it fits, and missed nowhere', async (t) => {
  const caches = files.filter((name) => name.endsWith('.cache'));
  t.ok(caches.some((name) => /^dist\/program-\w+\.v/.test(name)), 'the build wrote it');
  const rejected = `const { Script } = require('node:vm');
    require('node:vm').Script = class extends Script { constructor(source, options) { super(source, options); process.stderr.write(String(this.cachedDataRejected) + '\\n'); } };`;
  writeFileSync(join(place, 'spy.cjs'), rejected);
  const told = () => spawnSync(process.execPath, ['--require', join(place, 'spy.cjs'), join(folder, 'bin', 'findtoken.js'), '--version'], { cwd: place, env: { HOME: place }, encoding: 'utf8' });
  const fitting = told();
  t.equal(fitting.stderr, 'false\n', 'it fits the Node that built it');
  for (const name of caches) t.notOk(readFileSync(join(folder, name)).includes(ROOT), `${name} does not tell where it was built`);
  writeFileSync(join(place, 'broken.cjs'), "require('node:fs').writeSync = () => { throw new Error('broken'); };");
  const trace = spawnSync(process.execPath, ['--require', join(place, 'broken.cjs'), join(folder, 'bin', 'findtoken.js'), '--version'], { cwd: place, env: { HOME: place }, encoding: 'utf8' });
  t.match(trace.stderr, /\n +at \w.* \(dist\/program-\w+\.js:\d+:\d+\)/, 'a stack trace names the file as the package holds it');
  for (const name of caches) writeFileSync(join(folder, name), 'another version wrote this');
  t.match(told(), { status: 0, stdout: fitting.stdout, stderr: 'true\n' }, 'what does not fit is not used');
  for (const name of caches) rmSync(join(folder, name));
  t.match(told(), { status: 0, stdout: fitting.stdout, stderr: 'undefined\n' }, 'and without it the program runs as well');
  rmSync(join(folder, 'dist', 'program.json'));
  t.match(run('--version'), { code: 1, out: '', err: /program\.json is missing; build it with `npm run build`/ });
});

t.test('every way in which SQLite’s module can be missing is told as that', async (t) => {
  const told = [
    // message, code, why, what it is told as
    ["Cannot find package 'better-sqlite3' imported from /x.js", 'ERR_MODULE_NOT_FOUND', 'npm left it out', /was not built/],
    ["Cannot find module 'better-sqlite3'", 'MODULE_NOT_FOUND', 'the same, told by require', /was not built/],
    ['Could not locate the bindings file. Tried:\n → /x/build/better_sqlite3.node', undefined, 'npm ran no install scripts', /was not built/],
    ["The module '/x/better_sqlite3.node' was compiled against a different Node.js version", 'ERR_DLOPEN_FAILED', 'Node was replaced', /does not fit this Node \(v\d/],
    ["Cannot find package 'yaml' imported from /x.js", 'ERR_MODULE_NOT_FOUND', 'another package', /^findtoken: Cannot find package 'yaml'/],
    ['better_sqlite3.node could not be unpacked and loaded', undefined, 'the single executable has its own words', /^findtoken: better_sqlite3\.node could not be unpacked/],
  ] as const;
  for (const [message, code, why, expected] of told) {
    const line = failureLine(Object.assign(new Error(message), code === undefined ? {} : { code }));
    t.match(line, expected, why);
    t.notMatch(line, /\n/);
  }
});
