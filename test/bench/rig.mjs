// Where the bench runs: tools, cores, a folder, ports, and the programs it has started and will end.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

const READY_MS = 15_000;
/** A program that does not end when asked is ended. */
const STOP_MS = 10_000;
const TMPFS = 0x01021994;

/**
 * @param {{folder?: string, profiles?: string, against?: string}} options `folder`: on the disk to be measured, otherwise the system's
 *   temporary one; `profiles`: where findtoken writes CPU profiles; `against`: another checkout of findtoken, built
 */
export function openRig({ folder: parent = tmpdir(), profiles, against }) {
  const folder = mkdtempSync(join(parent, 'findtoken-bench-'));
  // nginx's worker gives up root, and still has to reach its file.
  chmodSync(folder, 0o711);
  const tools = { nginx: isThere('nginx', '-v'), wrk: isThere('wrk', '-v'), caddy: isThere('caddy', 'version'), taskset: isThere('taskset', '-V') && availableParallelism() > 1 };
  const children = [];
  const rig = {
    folder,
    tools,
    profiles,
    against,
    loadCore: 0,
    serverCore: 1,
    pinned: (core, command, args) => (tools.taskset ? ['taskset', ['-c', String(core), command, ...args]] : [command, args]),
    start,
    end,
    /** A folder of gigabytes goes when it is no more needed. */
    remove: (path) => rmSync(path, { recursive: true, force: true }),
    close,
    notes: notesOn(folder, tools),
  };

  /** Starts a program on a core and waits until its port answers. */
  async function start({ name, core, command, args, port, env = {} }) {
    const [program, programArgs] = rig.pinned(core, command, args);
    const child = spawn(program, programArgs, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
    let errors = '';
    let isEnded = false;
    child.stderr.on('data', (part) => (errors = (errors + part).slice(-4096)));
    child.on('close', () => (isEnded = true));
    children.push(child);
    for (const startedMs = Date.now(); !(await answers(port)); await pause(50)) {
      if (isEnded || Date.now() - startedMs > READY_MS) throw new Error(`${name} does not listen on port ${port}: ${errors.trim() || 'no word from it'}`);
    }
    return child.pid;
  }

  /** Ends a program that was started here: as it is asked by default, at once by SIGKILL. */
  async function end(pid, signal = 'SIGTERM') {
    await Promise.all(children.filter((child) => child.pid === pid).map((child) => stop(child, signal)));
  }

  async function close() {
    await Promise.all(children.map((child) => stop(child)));
    rmSync(folder, { recursive: true, force: true });
  }
  // A run that is broken off leaves neither programs nor gigabytes behind.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void close().finally(() => process.exit(130)));
  return rig;
}

/** A port that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.on('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function notesOn(folder, tools) {
  const notes = [];
  if (!tools.nginx) notes.push('no nginx: the canned upstream is plain Node and slower, and the nginx row is missing');
  if (!tools.caddy) notes.push('no caddy: its row is missing');
  if (!tools.wrk) notes.push('no wrk: the load comes from plain Node and may be the ceiling itself');
  if (!tools.taskset) notes.push('no taskset or one core only: servers and load share cores, and ratios are blurred');
  if (statfsSync(folder).type === TMPFS) notes.push(`${folder} is in memory: commits cost nothing here; pass --folder on a disk`);
  return notes;
}

async function stop(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

function isThere(command, flag) {
  return spawnSync(command, [flag], { stdio: 'ignore' }).error === undefined;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
