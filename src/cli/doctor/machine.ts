import { lookup } from 'node:dns/promises';
import { existsSync, statfsSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { dirname } from 'node:path';
import type { MasterKeySource, Settings } from '../../settings/index.ts';
import { sizeText } from '../format.ts';
import { fail, guarded, ok, saidBy, warn } from './check.ts';
import type { Check } from './check.ts';

const NODE_LEAST = [20, 20] as const;
const CONNECT_MS = 5_000;
const MIB = 1024 * 1024;
const DISK = { warnBytes: 1024 * MIB, failBytes: 100 * MIB };

/** The Node that runs this. */
export function checkRuntime(version: string, platform: string): Check {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const isEnough = major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1]);
  const found = `Node ${version} on ${platform}`;
  return isEnough ? ok('runtime', found) : fail('runtime', `${found}; ${NODE_LEAST.join('.')} or newer is needed`, 'install a newer Node.js');
}

/**
 * The packages that were compiled for this machine.
 * @param masterKey where the settings keep the master key; undefined where they cannot be read
 */
export async function checkNativeModules(masterKey: MasterKeySource['kind'] | undefined): Promise<readonly Check[]> {
  const sqlite = await guarded('better-sqlite3', async () => {
    const { sqliteVersion } = await import('../../ledger/index.ts');
    return [ok('better-sqlite3', `loads, SQLite ${sqliteVersion()}`)];
  });
  const { keychainTrouble } = await import('../../vault/index.ts');
  return [...sqlite, checkKeychain(await keychainTrouble(), masterKey)];
}

/** The keychain, as far as the settings need it. Servers have none, and a key file is as good: its lack alone is nothing to mend. */
export function checkKeychain(trouble: string | undefined, masterKey: MasterKeySource['kind'] | undefined): Check {
  if (trouble === undefined) return ok('keychain', 'can be used');
  const detail = `cannot be used (${trouble})`;
  switch (masterKey) {
    case 'keychain':
      return fail('keychain', `${detail}, and secrets.master_key: keychain has the master key in it`, 'unlock it and run findtoken in the session of its user, or set secrets.master_key to auto or file:/path');
    case 'file':
    case 'env':
      return ok('keychain', `${detail}; secrets.master_key does not need it`);
    case 'auto':
    case undefined:
      return ok('keychain', `${detail}; a master key goes into a file`);
  }
}

/** Whether the daemon's address is free, or its own daemon's. */
export async function checkPort({ host, port }: Settings['server'], daemonUrl: string | undefined): Promise<readonly Check[]> {
  const address = `${host}:${port}`;
  if (daemonUrl !== undefined) return [ok('port', `the daemon listens on ${daemonUrl}`)];
  if (port === 0) return [ok('port', 'a free one is taken at the start')];
  const code = await new Promise<string | undefined>((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
  if (code === undefined) return [ok('port', `${address} is free`)];
  const mend = code === 'EADDRINUSE' ? 'stop who uses it, or set server.port' : 'set server.host and server.port';
  return [fail('port', `${address} cannot be listened on (${code})`, mend)];
}

/**
 * Room on the disk of the database.
 * @param freeOn free bytes on the disk of a folder
 */
export function checkDisk(databasePath: string, freeOn: (folder: string) => number = freeBytesOn): Check {
  const folder = nearestFolder(dirname(databasePath));
  const freeBytes = freeOn(folder);
  const detail = `${sizeText(freeBytes)} free at ${folder}`;
  if (freeBytes < DISK.failBytes) return fail('disk', detail, 'make room: without it no request can be booked');
  return freeBytes < DISK.warnBytes ? warn('disk', detail, 'make room soon') : ok('disk', detail);
}

function freeBytesOn(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Whether the mail server can be reached; no mail is sent. */
export async function checkMail({ smtp }: Settings['email'], wish: { readonly offline: boolean }): Promise<readonly Check[]> {
  if (smtp === '') return [ok('smtp', 'not set: the text of a mail goes to the log')];
  const url = URL.canParse(smtp) ? new URL(smtp) : undefined;
  if (url === undefined || !/^smtps?:$/.test(url.protocol)) return [fail('smtp', 'email.smtp is not an address such as smtp://user:password@host:587', 'set email.smtp')];
  const port = url.port === '' ? (url.protocol === 'smtps:' ? 465 : 587) : Number(url.port);
  const where = `${url.hostname}:${port}`;
  if (wish.offline) return [ok('smtp', `not asked: ${where}`)];
  const trouble = await reach(url.hostname, port);
  return [trouble === undefined ? ok('smtp', `${where} can be reached`) : fail('smtp', `${where} cannot be reached (${trouble})`, 'set email.smtp, or open the way to it')];
}

async function reach(host: string, port: number): Promise<string | undefined> {
  try {
    await lookup(host);
  } catch (error) {
    return `its name is not known: ${saidBy(error)}`;
  }
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS });
    const end = (trouble: string | undefined): void => {
      socket.destroy();
      resolve(trouble);
    };
    socket.once('connect', () => end(undefined));
    socket.once('timeout', () => end(`no answer within ${CONNECT_MS / 1_000} s`));
    socket.once('error', (error) => end('code' in error ? String(error.code) : error.message));
  });
}

function nearestFolder(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearestFolder(dirname(folder));
}
