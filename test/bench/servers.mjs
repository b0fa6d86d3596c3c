// The servers under load: nginx as a reverse proxy, the bare Node proxy, the least that bills, findtoken itself, its peers; and the upstreams behind them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBookless } from './bookless.mjs';
import { isStream, JSON_ANSWER, KINDS, MODELS, PATHS } from './canned.mjs';
import { run } from './load.mjs';
import { portkeyProgram, startCaddy, startPortkey } from './peers.mjs';
import { freePort } from './rig.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const ROOT = here('../..');
const PROGRAM = join(ROOT, 'bin', 'findtoken.js');
const OWN_PATHS = Object.fromEntries(KINDS.map((kind) => [kind, '/v1/chat/completions']));
const STREAM_LOCATIONS = KINDS.filter(isStream).join('|');

/** Every server there is, in the order of the tables. */
export const SERVERS = ['nginx', 'bare', 'least', 'findtoken', 'bookless', 'caddy', 'portkey'];

/** Starts the canned upstreams on the load's core and returns the origin for each kind of answer. */
export async function startUpstreams(rig) {
  const sse = await startStreams(rig);
  if (!rig.tools.nginx) return { json: sse, sse };
  const json = await freePort();
  await startNginx(rig, 'upstream', rig.loadCore, json, `
    server {
      listen 127.0.0.1:${json} backlog=4096;
      location = ${PATHS.json} { default_type application/json; return 200 '${JSON_ANSWER}'; }
      location = ${PATHS.big} { default_type application/json; return 200 '${JSON_ANSWER}'; }
    }`);
  return { json: `http://127.0.0.1:${json}`, sse };
}

/** Starts an upstream for streams and returns its origin. */
export async function startStreams(rig) {
  const port = await freePort();
  await rig.start({ name: 'upstream', core: rig.loadCore, command: process.execPath, args: [here('upstream.mjs'), String(port)], port });
  return `http://127.0.0.1:${port}`;
}

/** The canned stream upstream without anything before it: what a proxy's delay is measured from. */
export function direct(origins) {
  return { name: 'direct', port: Number(new URL(origins.sse).port), paths: PATHS, headers: () => ({}) };
}

/** Whether this server can be started here. */
export function isAvailable(rig, name) {
  if (name === 'portkey') return portkeyProgram() !== undefined;
  if (name === 'before') return rig.against !== undefined;
  return rig.tools[name] !== false;
}

/** Starts one server by name; `before` is findtoken as it stands in another checkout, to compare two builds in one run. */
export async function startServer(rig, name, origins) {
  const port = await freePort();
  const start = STARTS[name];
  if (start === undefined) throw new Error(`there is no server ${name}; known are ${Object.keys(STARTS).join(', ')}`);
  return { name, port, paths: PATHS, headers: () => ({}), ...(await start(rig, port, origins)) };
}

const STARTS = {
  nginx: async (rig, port, origins) => ({
    pid: await startNginx(rig, 'nginx', rig.serverCore, port, `
    upstream json { server ${new URL(origins.json).host}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }
    upstream sse { server ${new URL(origins.sse).host}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }
    server {
      listen 127.0.0.1:${port} backlog=4096;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      client_body_buffer_size 256k;
      location ~ ^/(${STREAM_LOCATIONS})/ { proxy_pass http://sse; proxy_buffering off; }
      location / { proxy_pass http://json; }
    }`),
  }),
  bare: async (rig, port, origins) => ({
    pid: await rig.start({ name: 'bare', core: rig.serverCore, command: process.execPath, args: [here('bare.mjs'), String(port), origins.json, origins.sse], port }),
  }),
  least: async (rig, port, origins) => ({
    paths: { json: PATHS.json, big: PATHS.big },
    headers: () => ({ authorization: 'Bearer least' }),
    pid: await rig.start({ name: 'least', core: rig.serverCore, command: process.execPath, args: [here('least.mjs'), String(port), origins.json, join(folderOf(rig, 'least'), 'least.db')], port }),
  }),
  findtoken: (rig, port, origins) => startFindtoken(rig, port, origins, { name: 'findtoken', program: PROGRAM, profiles: rig.profiles }),
  before: (rig, port, origins) => startFindtoken(rig, port, origins, { name: 'before', program: join(rig.against, 'bin', 'findtoken.js') }),
  bookless: async (rig, port, origins) => startFindtoken(rig, port, origins, { name: 'bookless', program: PROGRAM, server: await buildBookless(join(rig.folder, 'bookless-program')) }),
  caddy: (rig, port, origins) => startCaddy(rig, port, origins, folderOf(rig, 'caddy')),
  portkey: (rig, port, origins) => startPortkey(rig, port, origins),
};

/**
 * findtoken as an operator has it, but for limits that a load would reach.
 * @param {{name: string, program?: string, server?: string, profiles?: string, flags?: string[], yaml?: object}} how `server`: the program that serves,
 *   where it is another than the one that makes the account; `yaml`: sections of the configuration laid over the bench's own
 */
export async function startFindtoken(rig, port, origins, { name, program = PROGRAM, server = program, profiles, flags, yaml = {} }) {
  const home = await furnish(rig, port, origins, { name, program, yaml });
  const again = () => serve(rig, { ...home, name, server, profiles, flags });
  return { name, port, pid: await again(), paths: OWN_PATHS, headers: () => home.headers, audit: () => home.command('audit'), database: home.database, serve: again };
}

/** Starts the daemon of a home that `furnish` made and returns its process id. */
export async function serve(rig, { name = 'findtoken', config, port, server = PROGRAM, profiles, flags = [] }) {
  const profiling = [...flags, ...(profiles === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profiles])];
  return rig.start({ name, core: rig.serverCore, command: process.execPath, args: [...profiling, server, 'serve', '--config', config], port });
}

/** Configuration, account, key and credit of a findtoken that is not started yet. */
export async function furnish(rig, port, origins, { name, program = PROGRAM, yaml = {} }) {
  const folder = folderOf(rig, name);
  const config = join(folder, 'findtoken.yaml');
  const database = join(folder, 'findtoken.db');
  const price = { input: 0.14, cached_input: 0.0028, output: 0.28 };
  writeFileSync(config, JSON.stringify({
    server: { port, drain: '1s', ...yaml.server },
    database: { path: database, anchors: join(folderOf(rig, `${name}-anchors`)), ...yaml.database },
    secrets: { master_key: `file:${join(folderOf(rig, `${name}-key`), 'master.key')}` },
    limits: { requests_per_minute: 1_000_000, concurrent_requests: 20_000, in_flight: 20_000, connections_per_address: 20_000, ...yaml.limits },
    providers: Object.fromEntries(KINDS.map((kind) => [`canned-${kind}`, { base_url: `${isStream(kind) ? origins.sse : origins.json}/${kind}/v1`, api_key: 'canned-key' }])),
    models: Object.fromEntries(KINDS.map((kind) => [MODELS[kind].id, { provider: `canned-${kind}`, upstream: MODELS[kind].upstream, price }])),
  }));
  const command = (...args) => run([process.execPath, [program, ...args, '--config', config]]);
  await command('accounts', 'create', 'bench@example.com');
  const { key } = JSON.parse(await command('keys', 'create', '--name', 'bench', '--json'));
  await command('credits', 'grant', '100000000', '--note', 'bench');
  return { folder, port, config, database, command, headers: { authorization: `Bearer ${key}` } };
}

/** One worker, nothing logged, connections kept. */
async function startNginx(rig, name, core, port, servers) {
  const folder = folderOf(rig, name);
  const config = join(folder, 'nginx.conf');
  const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${join(folder, kind)};`).join(' ');
  writeFileSync(config, `
  daemon off; worker_processes 1; pid ${join(folder, 'nginx.pid')}; error_log stderr error;
  events { worker_connections 16384; }
  http {
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; ${bodies}${servers}
  }\n`);
  return rig.start({ name, core, command: 'nginx', args: ['-e', 'stderr', '-p', folder, '-c', config], port });
}

function folderOf(rig, name) {
  const folder = join(rig.folder, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
