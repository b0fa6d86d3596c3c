// npm run bench:setup
// Installs what the bench measures against: nginx, wrk and caddy from Debian, Portkey's gateway from the npm registry. Each by itself, so
// that one that cannot be had leaves the others; the bench runs without any of them, and says what is missing.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PEERS_FOLDER, PORTKEY, portkeyProgram } from './peers.mjs';

const DEBIAN = { nginx: 'nginx-light', wrk: 'wrk', caddy: 'caddy', perf: 'linux-perf' };

/** True where a program starts at all; what it answers does not matter. */
function isThere(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

function runs(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options });
  return error === undefined && status === 0;
}

function installDebian() {
  const missing = Object.entries(DEBIAN).filter(([command]) => !isThere(command));
  if (missing.length === 0) return;
  const sudo = process.getuid?.() === 0 ? [] : ['sudo'];
  const apt = (...args) => {
    const [command, ...rest] = [...sudo, 'apt-get', '-q', ...args];
    return runs(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  };
  apt('update');
  for (const [, name] of missing) apt('install', '-y', '--no-install-recommends', name);
}

/** 1.15.2 as it installs today answers every stream with 500 on Node 20, for its newer @hono/node-server; with 1.13.7 it streams. */
function installPortkey() {
  if (portkeyProgram() !== undefined) return;
  mkdirSync(PEERS_FOLDER, { recursive: true });
  writeFileSync(join(PEERS_FOLDER, 'package.json'), `${JSON.stringify({
    private: true, dependencies: { [PORTKEY.package]: PORTKEY.version }, overrides: { '@hono/node-server': '1.13.7' },
  }, undefined, 2)}\n`);
  runs('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: PEERS_FOLDER });
}

installDebian();
installPortkey();
const found = { ...Object.fromEntries(Object.keys(DEBIAN).map((command) => [command, isThere(command)])), [`${PORTKEY.package} ${PORTKEY.version}`]: portkeyProgram() !== undefined };
for (const [name, isFound] of Object.entries(found)) console.log(`${isFound ? 'ok     ' : 'MISSING'} ${name}`);
process.exitCode = Object.values(found).every(Boolean) ? 0 : 1;
