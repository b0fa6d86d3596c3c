// The servers under load: nginx as a reverse proxy, the bare Node proxy, findtoken itself; and the upstreams behind them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { JSON_ANSWER, MODELS, PATHS } from './canned.mjs';
import { run } from './load.mjs';
import { freePort } from './rig.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const PROGRAM = 'bin/findtoken.js';
const ROOT = here('../..');
const OWN_PATHS = { json: '/v1/chat/completions', sse: '/v1/chat/completions' };

/** Starts the canned upstreams on the load's core and returns the origin for each kind of answer. */
export async function startUpstreams(rig) {
  const sse = await freePort();
  await rig.start({ name: 'upstream', core: rig.loadCore, command: process.execPath, args: [here('upstream.mjs'), String(sse)], port: sse });
  if (!rig.tools.nginx) return { json: `http://127.0.0.1:${sse}`, sse: `http://127.0.0.1:${sse}` };
  const json = await freePort();
  await startNginx(rig, 'upstream', rig.loadCore, json, `
    server {
      listen 127.0.0.1:${json} backlog=4096;
      location = ${PATHS.json} { default_type application/json; return 200 '${JSON_ANSWER}'; }
    }`);
  return { json: `http://127.0.0.1:${json}`, sse: `http://127.0.0.1:${sse}` };
}

/** Starts one server by name; `before` is findtoken as it stands in another checkout, to compare two builds in one run. */
export async function startServer(rig, name, origins) {
  const port = await freePort();
  const start = name === 'before' ? (...args) => startFindtoken(...args, { name, root: rig.against }) : STARTS[name];
  return { name, port, paths: PATHS, headers: {}, ...(await start(rig, port, origins)) };
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
      location /json/ { proxy_pass http://json; }
      location /sse/ { proxy_pass http://sse; proxy_buffering off; }
    }`),
  }),

  bare: async (rig, port, origins) => ({
    pid: await rig.start({ name: 'bare', core: rig.serverCore, command: process.execPath, args: [here('bare.mjs'), String(port), origins.json, origins.sse], port }),
  }),

  findtoken: (rig, port, origins) => startFindtoken(rig, port, origins, { name: 'findtoken', root: ROOT }),
};

/** Everything as an operator has it, but for limits that a load would reach. */
async function startFindtoken(rig, port, origins, { name, root }) {
  const folder = folderOf(rig, name);
  const keyFolder = folderOf(rig, `${name}-key`);
  const config = join(folder, 'findtoken.yaml');
  const program = join(root, PROGRAM);
  const price = { input: 0.14, cached_input: 0.0028, output: 0.28 };
  writeFileSync(config, JSON.stringify({
    server: { port, drain: '1s' },
    database: { path: join(folder, 'findtoken.db') },
    secrets: { master_key: `file:${join(keyFolder, 'master.key')}` },
    limits: { requests_per_minute: 1_000_000, concurrent_requests: 10_000 },
    providers: {
      'canned-json': { base_url: `${origins.json}/json/v1`, api_key: 'canned-key' },
      'canned-sse': { base_url: `${origins.sse}/sse/v1`, api_key: 'canned-key' },
    },
    models: {
      [MODELS.json.id]: { provider: 'canned-json', upstream: MODELS.json.upstream, price },
      [MODELS.sse.id]: { provider: 'canned-sse', upstream: MODELS.sse.upstream, price },
    },
  }));
  const command = (...args) => run([process.execPath, [program, ...args, '--config', config]]);
  await command('accounts', 'create', 'bench@example.com');
  const { key } = JSON.parse(await command('keys', 'create', '--name', 'bench', '--json'));
  await command('credits', 'grant', '100000000', '--note', 'bench');
  const profiling = rig.profiles !== undefined && name === 'findtoken' ? ['--cpu-prof', '--cpu-prof-dir', rig.profiles] : [];
  const pid = await rig.start({ name, core: rig.serverCore, command: process.execPath, args: [...profiling, program, 'serve', '--config', config], port });
  return { pid, paths: OWN_PATHS, headers: { authorization: `Bearer ${key}` }, audit: () => command('audit') };
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
