// The peers that findtoken is measured against, and where the bench keeps them: in the user's cache, never among the project's packages.
import { existsSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isStream, PATHS } from './canned.mjs';

export const PEERS_FOLDER = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'findtoken-bench');
export const PORTKEY = { package: '@portkey-ai/gateway', version: '1.15.2' };
const PORTKEY_PROGRAM = join(PEERS_FOLDER, 'node_modules', PORTKEY.package, 'build', 'start-server.js');

/** Portkey's program, or undefined where `npm run bench:setup` has not put it there. */
export function portkeyProgram() {
  return existsSync(PORTKEY_PROGRAM) ? PORTKEY_PROGRAM : undefined;
}

/** A gateway in JavaScript, which relays without accounts and without books. */
export async function startPortkey(rig, port, origins) {
  const pid = await rig.start({
    name: 'portkey', core: rig.serverCore, command: process.execPath, args: [PORTKEY_PROGRAM, '--headless', `--port=${port}`], port,
    env: { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: 'localhost,127.0.0.1' },
  });
  const paths = Object.fromEntries(Object.keys(PATHS).map((kind) => [kind, '/v1/chat/completions']));
  const host = (kind) => `${isStream(kind) ? origins.sse : origins.json}/${kind}/v1`;
  return { pid, paths, headers: (kind) => ({ 'authorization': 'Bearer canned-key', 'x-portkey-provider': 'openai', 'x-portkey-custom-host': host(kind) }) };
}

/** A reverse proxy in Go, on one core as the others. */
export async function startCaddy(rig, port, origins, folder) {
  const config = join(folder, 'Caddyfile');
  const proxy = (origin, flush) => `reverse_proxy ${new URL(origin).host} {
      ${flush}
      transport http {
        keepalive 600s
        keepalive_idle_conns 1024
        keepalive_idle_conns_per_host 1024
      }
    }`;
  writeFileSync(config, `{
  admin off
  auto_https off
}
http://:${port} {
  bind 127.0.0.1
  @whole path /json/* /big/*
  handle @whole {
    ${proxy(origins.json, '')}
  }
  handle {
    ${proxy(origins.sse, 'flush_interval -1')}
  }
}
`);
  const env = { GOMAXPROCS: '1', XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  return { pid: await rig.start({ name: 'caddy', core: rig.serverCore, command: 'caddy', args: ['run', '--config', config, '--adapter', 'caddyfile'], port, env }) };
}
