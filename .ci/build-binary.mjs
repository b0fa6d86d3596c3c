// Makes dist/findtoken: one file with Node, the program, SQLite's native module, the keychain's where it was installed, and config/.
// Node and the module built for it are kept in a cache folder, so that a second build takes seconds.
// Source of the form: nodejs.org/docs/latest-v24.x/api/single-executable-applications.html
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'postject';
import { bundleForBinary } from './binary-bundle.mjs';
import { CATALOG, MANIFEST } from './bundle.mjs';
import { noticesOf, packagesOf } from './notices.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TARGET = join(ROOT, 'dist', 'findtoken');
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'findtoken-build');
const PLATFORM = `${process.platform}-${process.arch}`;

/** The supported Node that is embedded, from the package `node-<platform>`, and what its executable hashes to. */
const NODE = {
  version: '24.21.0',
  sha256: {
    'linux-x64': '7fde7b8afa198da66257f42ee2001d874c7355631e6d1579a5fb5ef1f246df4c',
    'linux-arm64': '0f8949d1028f6d61506b2d5bc57e7e6fe893d7b1997509b7847294fc9c616584',
  },
};
/** The mark in Node's executable that postject turns; fixed by Node. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** Installs the embedded Node into the cache. @throws Error where it is not the one that was looked at when this was written. */
function fetchNode() {
  const expected = NODE.sha256[PLATFORM];
  if (expected === undefined) throw new Error(`no Node is known for ${PLATFORM}; the binary is made for ${Object.keys(NODE.sha256).join(' and ')}`);
  const name = `node-${PLATFORM}`;
  const home = join(CACHE, `${name}-${NODE.version}`);
  if (!existsSync(home)) {
    mkdirSync(CACHE, { recursive: true });
    const stage = mkdtempSync(join(CACHE, '.stage-'));
    try {
      npm(['install', '--prefix', stage, '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${NODE.version}`]);
      moveInto(join(stage, 'node_modules', name), home);
    } finally {
      rmSync(stage, { recursive: true, force: true });
    }
  }
  const found = sha256(readFileSync(join(home, 'bin', 'node')));
  if (found !== expected) throw new Error(`${home}/bin/node hashes to ${found}, not to ${expected}; remove the folder and look at where it came from`);
  return { home, program: join(home, 'bin', 'node') };
}

/** SQLite's module for the embedded Node: builds better-sqlite3 against the headers of the embedded Node, in a copy of its own, for the checkout's belongs to the Node that runs here. */
function buildSqlite(node) {
  const source = join(ROOT, 'node_modules', 'better-sqlite3');
  const { version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
  // From 13 on it comes ready-made for every Node that it is made for, the embedded one among them.
  const ready = join(source, 'prebuilds', `${PLATFORM}.node`);
  if (existsSync(ready)) return ready;
  // Another recipe, another file: these two functions are the recipe.
  const recipe = sha256(`${buildSqlite}${mendObjectWrap}`).slice(0, 8);
  const built = join(CACHE, `better-sqlite3-${version}-node-${NODE.version}-${PLATFORM}-${recipe}.node`);
  if (existsSync(built)) return built;
  console.log(`binary: building better-sqlite3 ${version} for Node ${NODE.version}; minutes without ccache`);
  const stage = mkdtempSync(join(CACHE, '.stage-'));
  try {
    for (const part of ['package.json', 'binding.gyp', 'deps', 'src']) cpSync(join(source, part), join(stage, part), { recursive: true });
    cpSync(join(node.home, 'include'), join(stage, 'headers', 'include'), { recursive: true });
    mendObjectWrap(join(stage, 'headers', 'include', 'node', 'node_object_wrap.h'));
    // What npm is told by its user, such as other headers, would win over what node-gyp is told here.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
    // The compiler's cache forgets this folder's name.
    Object.assign(env, { CCACHE_BASEDIR: stage, CCACHE_NOHASHDIR: '1' });
    const options = { cwd: stage, env, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 };
    execFileSync(node.program, [nodeGyp(), 'rebuild', '--release', `--nodedir=${join(stage, 'headers')}`], options);
    const module = join(stage, 'build', 'Release', 'better_sqlite3.node');
    execFileSync(node.program, ['-e', `require(${JSON.stringify(module)})`], options);
    moveInto(module, built);
  } catch (error) {
    const said = String(error?.stderr ?? '').split('\n').slice(-15).join('\n');
    throw new Error(`better-sqlite3 was not built: a C++20 compiler, make and python3 are needed.\n${said}`, { cause: error });
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
  return built;
}

/**
 * From 24.19 on the header makes every wrapped object take back a hook when it is collected, and Node ends the process where that
 * happens outside of JavaScript. The calls are left out, as they were before; better-sqlite3 cleans up by a hook of its own.
 * Source: nodejs/node issue 65446.
 */
function mendObjectWrap(header) {
  const text = readFileSync(header, 'utf8');
  const mended = text.replace(/^ +(Add|Remove)CleanupHook\(\);\n/gm, '');
  if (text.length - mended.length !== '    AddCleanupHook();\n    RemoveCleanupHook();\n'.length) {
    throw new Error(`node_object_wrap.h of Node ${NODE.version} is not the one that is known to need a mend; see nodejs/node issue 65446`);
  }
  writeFileSync(header, mended);
}

/** npm brings node-gyp and tells its scripts where it is. */
function nodeGyp() {
  const told = process.env.npm_config_node_gyp;
  if (told !== undefined && existsSync(told)) return told;
  const global = execFileSync('npm', ['root', '--global'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  return join(global, 'npm', 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
}

/** keytar speaks Node-API, whose modules fit every Node; where libsecret was missing it was not installed, and is left out. */
function keychainModule() {
  const found = join(ROOT, 'node_modules', 'keytar', 'build', 'Release', 'keytar.node');
  return existsSync(found) ? found : undefined;
}

/** Everything that the program asks for by name inside the executable; the names are those of the package. */
function assetsOf({ stage, addons }) {
  const hashes = Object.fromEntries(Object.entries(addons).map(([name, file]) => [name, sha256(readFileSync(file))]));
  writeFileSync(join(stage, 'addons.json'), JSON.stringify(hashes));
  const { program, vendors } = JSON.parse(readFileSync(join(stage, MANIFEST), 'utf8'));
  const texts = ['package.json', 'config/models.yaml', 'config/providers.yaml', 'findtoken.example.yaml', 'LICENSE'];
  return {
    ...Object.fromEntries(texts.map((name) => [name, join(ROOT, name)])),
    ...addons,
    'addons.json': join(stage, 'addons.json'),
    'ledger-worker.js': join(stage, 'ledger-worker.js'),
    [CATALOG]: join(stage, CATALOG),
    [MANIFEST]: join(stage, MANIFEST),
    ...Object.fromEntries([program, ...Object.values(vendors)].map((name) => [`${name}.js`, join(stage, `${name}.js`)])),
  };
}

/** The code that the embedded Node makes of the program's texts; none other can make it, and none other can use it. */
function compile({ stage, node, assets }) {
  const listed = join(stage, 'assets.json');
  writeFileSync(listed, JSON.stringify(assets));
  execFileSync(node.program, [fileURLToPath(new URL('code-cache.cjs', import.meta.url)), stage, listed], { stdio: ['ignore', 'ignore', 'pipe'] });
  return Object.fromEntries(readdirSync(stage).filter((name) => name.endsWith('.cache')).map((name) => [name, join(stage, name)]));
}

/** The licences of what lies in the file, beside it; Node's own names those of the works that Node carries. */
async function writeNotices({ stage, metafiles, node, keychain }) {
  const native = ['node_modules/better-sqlite3', ...(keychain === undefined ? [] : ['node_modules/keytar'])];
  const further = [
    { title: `Node.js ${NODE.version}`, text: readFileSync(join(node.home, 'LICENSE'), 'utf8') },
    { title: 'SQLite (public domain)', text: 'Its authors have given SQLite to the public domain; better-sqlite3 carries it.' },
  ];
  const file = join(stage, 'NOTICES.txt');
  writeFileSync(file, await noticesOf(ROOT, [...packagesOf(metafiles), ...native].sort(), further));
  renameSync(file, `${TARGET}.NOTICES.txt`);
}

/**
 * The blob with main text and assets. The main text is a page and carries no compiled code: Node prints a warning where that does not
 * fit (a flag in NODE_OPTIONS is enough), while the program's own is passed over without a word.
 */
async function assemble({ stage, node, assets }) {
  // Names without a folder: stack traces and the executable itself do not tell where it was built.
  writeFileSync(join(stage, 'sea.json'), JSON.stringify({ main: 'findtoken.cjs', output: 'findtoken.blob', disableExperimentalSEAWarning: true, assets }));
  execFileSync(node.program, ['--experimental-sea-config', 'sea.json'], { cwd: stage, stdio: ['ignore', 'ignore', 'pipe'] });
  const executable = join(stage, 'findtoken');
  copyFileSync(node.program, executable);
  chmodSync(executable, 0o755);
  await quietly(() => inject(executable, 'NODE_SEA_BLOB', readFileSync(join(stage, 'findtoken.blob')), { sentinelFuse: FUSE }));
  return executable;
}

/** postject warns of Node's notes for debuggers, which nothing here needs. */
async function quietly(work) {
  const { log, warn } = console;
  Object.assign(console, { log: () => undefined, warn: () => undefined });
  try {
    await work();
  } finally {
    Object.assign(console, { log, warn });
  }
}

function npm(args) {
  execFileSync('npm', args, { cwd: tmpdir(), stdio: ['ignore', 'ignore', 'pipe'] });
}

/** By way of a neighbour, for a rename is atomic only within one file system; who came first is left alone. */
function moveInto(from, to) {
  if (existsSync(to)) return;
  renameSync(from, to);
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

const startedMs = Date.now();
const node = fetchNode();
const sqlite = buildSqlite(node);
const keychain = keychainModule();
mkdirSync(dirname(TARGET), { recursive: true });
const stage = mkdtempSync(join(dirname(TARGET), '.stage-binary-'));
try {
  const metafiles = await bundleForBinary({ root: ROOT, outdir: stage });
  const addons = { 'better_sqlite3.node': sqlite, ...(keychain === undefined ? {} : { 'keytar.node': keychain }) };
  const assets = assetsOf({ stage, addons });
  const executable = await assemble({ stage, node, assets: { ...assets, ...compile({ stage, node, assets }) } });
  await writeNotices({ stage, metafiles, node, keychain });
  renameSync(executable, TARGET);
  const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
  console.log(`binary: dist/findtoken, ${Math.round(statSync(TARGET).size / 1e6)} MB, Node ${NODE.version}, ${keychain === undefined ? 'without' : 'with'} keytar, in ${seconds} s`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
