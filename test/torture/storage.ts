/** S: what a disk can do to the books. Damaged copies are opened one after another; a real daemon meets a disk that fails. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { keepAnchor } from '../../src/daemon/anchor.ts';
import { inspectLedger, LedgerError, openLedger, type Ledger } from '../../src/ledger/index.ts';
import { call, codeOf, type Received } from './calls.ts';
import type { Dice } from './dice.ts';
import { furnish, startDaemon, type Daemon, type Program } from './machine.ts';
import { judge, troubles } from './oracle.ts';
import { scriptYaml, startScript } from './script.ts';
import type { Verdicts } from './verdict.ts';
import { pause } from '../support/provider.ts';

const NOW_MS = Date.UTC(2026, 10, 23);
const SILENT = { info: () => undefined, warn: () => undefined };

export interface StorageWish {
  /** Damaged copies of each kind; the main file gets twice as many, and 30 at least: much of it is room. */
  readonly copies: number;
  readonly dice: Dice;
  readonly verdicts: Verdicts;
}

export async function runStorage(program: Program, wish: StorageWish): Promise<Readonly<Record<string, number>>> {
  const seen = await damagedCopies(wish);
  await failingFsync(program, wish.verdicts);
  await failingWrites(program, wish.verdicts);
  return seen;
}

/** The files of a book, and the note of its head that lies elsewhere. */
interface Image {
  readonly main: Buffer;
  /** Undefined where the book was closed in good order: all of it is in the file. */
  readonly journal: Buffer | undefined;
  readonly anchors: string;
  readonly folder: string;
  /** What the undamaged book says, by `sayings`. */
  readonly said: Sayings;
}

/** Everything that money hangs on, and everything else, each as text that differs where anything does. */
interface Sayings {
  readonly money: string;
  readonly rest: string;
}

type Found = 'reported' | 'harmless' | 'unseen, no money in it' | 'unseen';

/** S6 to S9. */
async function damagedCopies({ copies, dice, verdicts }: StorageWish): Promise<Readonly<Record<string, number>>> {
  const [open, closed] = [await takeImage(150, false), await takeImage(600, true)];
  const { main, journal = Buffer.alloc(0) } = open;
  const figures: Record<string, number> = {};
  const kinds = [
    { id: 'S6', image: open, what: 'a journal cut off anywhere', count: copies, damage: (throws: Dice) => ({ main, journal: journal.subarray(0, throws.below(journal.length)) }) },
    { id: 'S7', image: open, what: 'a journal with one bit turned', count: copies, damage: (throws: Dice) => ({ main, journal: flipped(journal, throws) }) },
    { id: 'S8', image: open, what: 'a journal with 512 bytes of garbage', count: copies, damage: (throws: Dice) => ({ main, journal: garbled(journal, throws) }) },
    { id: 'S9', image: closed, what: 'a database with one bit turned', count: Math.max(copies * 2, 30), damage: (throws: Dice) => ({ main: flipped(closed.main, throws), journal: undefined }) },
  ];
  try {
    for (const { id, image, what, count, damage } of kinds) {
      const throws = dice.fork(id);
      const came: Record<Found, number> = { reported: 0, harmless: 0, 'unseen, no money in it': 0, unseen: 0 };
      for (let copy = 0; copy < count; copy += 1) came[await find(image, damage(throws))] += 1;
      for (const [name, times] of Object.entries(came)) figures[`${id} ${name}`] = times;
      const told = Object.entries(came).filter(([, times]) => times > 0).map(([name, times]) => `${times} ${name}`).join(', ');
      verdicts.that(id, `${count} copies of ${what}: ${told}`, came.unseen === 0, told);
      // A way of looking that finds nothing would hold as well.
      verdicts.that(id, 'some of them did harm, and it was reported', came.reported > count / 20, told);
    }
  } finally {
    for (const { folder } of [open, closed]) rmSync(folder, { recursive: true, force: true });
  }
  return figures;
}

/** @param isClosed folds the journal into the file; else the files are taken as a crash leaves them */
async function takeImage(requests: number, isClosed: boolean): Promise<Image> {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-image-'));
  const path = join(folder, 'books', 'books.db');
  const anchors = join(folder, 'anchors');
  const ledger = await openLedger({ path, as: 'cli' });
  await ledger.createAccount({ id: 'acct_ann', email: 'ann@example.com', status: 'active', nowMs: NOW_MS });
  await ledger.grant({ accountId: 'acct_ann', amount: 1_000_000_000n, reference: 'start', note: 'a gift', nowMs: NOW_MS });
  const stop = await keepAnchor({ folder: anchors, databasePath: path, ledger, acceptRollback: false, log: SILENT });
  for (let at = 0; at < requests; at += 1) await serve(ledger, `req_${at}`);
  await stop();
  const open = { main: readFileSync(path), journal: readFileSync(`${path}-wal`) };
  const said = sayings(path);
  await ledger.close();
  return { ...(isClosed ? { main: readFileSync(path), journal: undefined } : open), anchors, folder, said };
}

async function serve(ledger: Ledger, id: string): Promise<void> {
  await ledger.hold({ id, accountId: 'acct_ann', keyId: 'key_1', mode: 'standard', model: 'm', requestedModel: 'm', provider: 'p', stream: true, ceiling: 10_000n, byok: undefined, nowMs: NOW_MS });
  await ledger.settle({
    id, status: 'ok', model: 'm', provider: 'p', promptTokens: 1_000, cachedTokens: 0, completionTokens: 10, reasoningTokens: 0, usageOrigin: 'reported', latencyMs: 1, firstByteMs: undefined,
    attempts: 1, nowMs: NOW_MS, price: undefined, charge: { total: 1_100n, provider: 1_000n, fee: 100n },
  });
}

/** Puts the files in the book's place and looks at them as an operator would: a start, then the audit and the doctor. */
async function find(image: Image, { main, journal }: { readonly main: Buffer; readonly journal: Buffer | undefined }): Promise<Found> {
  const path = join(image.folder, 'books', 'books.db');
  rmSync(dirname(path), { recursive: true, force: true });
  mkdirSync(dirname(path), { mode: 0o700 });
  writeFileSync(path, main);
  if (journal !== undefined) writeFileSync(`${path}-wal`, journal);
  const notes = readNotes(image.anchors);
  try {
    if (await isReported(image, path)) return 'reported';
    const now = sayings(path);
    if (now.money !== image.said.money) {
      console.log(`     ${firstDifference(image.said.money, now.money)}`);
      return 'unseen';
    }
    return now.rest === image.said.rest ? 'harmless' : 'unseen, no money in it';
  } finally {
    // A start that was content has noted the head anew.
    for (const [name, text] of notes) writeFileSync(name, text);
  }
}

async function isReported(image: Image, path: string): Promise<boolean> {
  let ledger: Ledger | undefined;
  try {
    ledger = await openLedger({ path, as: 'cli' });
    const stop = await keepAnchor({ folder: image.anchors, databasePath: path, ledger, acceptRollback: false, log: SILENT });
    await stop();
    if ((await ledger.audit()).findings.length > 0) return true;
    return inspectLedger({ path, folder: dirname(path), deep: true }).integrity !== 'ok';
  } catch (error) {
    if (error instanceof LedgerError || error instanceof Database.SqliteError || (error instanceof Error && 'code' in error) || error instanceof TypeError) return true;
    throw error;
  } finally {
    await ledger?.close().catch(() => undefined); // reported already
  }
}

function readNotes(folder: string): readonly (readonly [name: string, text: string])[] {
  return spawnSync('ls', [folder], { encoding: 'utf8' }).stdout.split('\n').filter((name) => name !== '').map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')] as const);
}

/** Reads with queries of its own. */
function sayings(path: string): Sayings {
  const db = new Database(path, { readonly: true });
  try {
    const all = (table: string, columns = '*') => JSON.stringify(db.prepare(`SELECT ${columns} FROM ${table} ORDER BY 1`).raw().all());
    const money = [
      all('transfers', 'seq, kind, debit, credit, amount, reference, at_ms'), all('wallets', 'no, name, customer, balance, held, may_overdraw'), all('chain', 'upto, hex(hash)'),
      // What an ended request had held is history.
      all('requests', 'id, account, state, cost, provider_cost, fee, shortfall'), all('holds', 'id, account, hold'),
    ].join('\n');
    return { money, rest: [all('accounts'), all('requests'), all('holds'), all('notes'), all('rollup_days'), all('rollup_minutes')].join('\n') };
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    return { money: `unreadable: ${error.code}`, rest: '' };
  } finally {
    db.close();
  }
}

/** Where two texts part, with what stands there in each. */
function firstDifference(before: string, after: string): string {
  let at = 0;
  while (at < before.length && before[at] === after[at]) at += 1;
  const around = (text: string) => text.slice(Math.max(0, at - 60), at + 60);
  return `${around(before)} became ${around(after)}`;
}

function flipped(bytes: Buffer, throws: Dice): Buffer {
  const copy = Buffer.from(bytes);
  const at = throws.below(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << throws.below(8));
  return copy;
}

function garbled(bytes: Buffer, throws: Dice): Buffer {
  const copy = Buffer.from(bytes);
  const from = throws.below(Math.max(1, copy.length - 512));
  for (let at = from; at < from + 512; at += 1) copy[at] = throws.below(256);
  return copy;
}

/** strace can make a system call fail; without it these faults cannot be had. */
function mayInject(): boolean {
  return spawnSync('strace', ['-o', '/dev/null', '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO:when=9', 'true']).status === 0;
}

const WITHOUT_STRACE = 'strace is missing or may not trace here';

/** Starts a daemon whose system calls on the journal fail as `inject` says; `play` asks it one call after another. */
async function underFaults(program: Program, wish: { readonly id: string; readonly inject: string; readonly verdicts: Verdicts }, play: (scene: { readonly daemon: Daemon; readonly ask: () => Promise<Received>; readonly asked: () => number }) => Promise<void>): Promise<void> {
  const script = await startScript();
  const home = await furnish({ yaml: scriptYaml(script.provider.url), madeBy: program });
  const calls: Received[] = [];
  let trace = '';
  try {
    const log = join(home.folder, 'trace.txt');
    const daemon = await startDaemon(program, home, { under: ['strace', '-D', '-f', '-P', `${home.database}-wal`, '-e', `trace=${wish.inject.split(':')[0] ?? ''}`, '-e', `inject=${wish.inject}`, '-o', log] });
    const ask = async () => {
      const received = await call({ url: daemon.url, key: home.keys[0] ?? '', model: 'torture-chat', stream: calls.length % 2 === 0, tag: `${wish.id}-${calls.length}`, signal: AbortSignal.timeout(10_000) });
      calls.push(received);
      return received;
    };
    await play({ daemon, ask, asked: () => script.log.length });
    await daemon.end('SIGKILL');
    trace = existsSync(log) ? readFileSync(log, 'utf8') : '';
    const again = await startDaemon(program, home);
    const after = await call({ url: again.url, key: home.keys[0] ?? '', model: 'torture-chat', stream: true, tag: `${wish.id}-after` });
    await again.end('SIGTERM');
    const found = troubles(judge(home.database, [...calls, after], script.log));
    wish.verdicts.equal(wish.id, 'afterwards it starts, serves, and the books are in order', `${after.status === 200 && after.whole ? 'served' : `${after.status} ${codeOf(after)}`}, ${found.join('; ') || 'in order'}`, 'served, in order');
    wish.verdicts.that(wish.id, 'the fault was there', trace.includes('(INJECTED)'), trace.split('\n').length + ' calls traced');
  } finally {
    await script.close();
    home.remove();
  }
}

/** S5: one fsync fails, the next would do: what the first should have kept is lost, so it must not be asked again. */
async function failingFsync(program: Program, verdicts: Verdicts): Promise<void> {
  if (!mayInject()) return verdicts.skip('S5', 'an fsync fails', WITHOUT_STRACE);
  await underFaults(program, { id: 'S5', inject: 'fsync,fdatasync:error=EIO:when=30', verdicts }, async ({ daemon, ask }) => {
    let served = 0;
    for (let turn = 0; turn < 60 && daemon.ended() === undefined; turn += 1) {
      if ((await ask()).status === 200) served += 1;
    }
    for (let waited = 0; waited < 10_000 && daemon.ended() === undefined; waited += 50) await pause(50);
    verdicts.equal('S5', 'an fsync fails once: the daemon ends (74) instead of asking again', `${served > 0 ? 'served until then' : 'never served'}, ended with ${String(daemon.ended() ?? 'nothing: it goes on')}`, 'served until then, ended with 74');
  });
}

/** S4: the disk takes no writes for a while: nothing is sent, readiness is red, and it goes on by itself. */
async function failingWrites(program: Program, verdicts: Verdicts): Promise<void> {
  if (!mayInject()) return verdicts.skip('S4', 'the disk turns read-only under the daemon', WITHOUT_STRACE);
  await underFaults(program, { id: 'S4', inject: 'pwrite64:error=EROFS:when=200..260', verdicts }, async ({ daemon, ask, asked }) => {
    let refused: Received | undefined;
    for (let turn = 0; turn < 200 && refused === undefined; turn += 1) {
      const received = await ask();
      if (received.status !== 200) refused = received;
    }
    const before = asked();
    const ready = await fetch(`${daemon.url}/readyz`).then(({ status }) => status);
    const next = await ask();
    verdicts.equal('S4', 'the disk turns read-only: refused before the provider is asked, and readiness is red', `${refused === undefined ? 'never refused' : codeOf(refused)}, ${next.status === 200 ? 'served' : codeOf(next)}, ${asked() - before} sent, readiness ${ready}`, 'storage_unavailable, storage_unavailable, 0 sent, readiness 503');
    for (let turn = 0; turn < 200; turn += 1) {
      if ((await ask()).status === 200) break;
      await pause(10);
    }
    const after = await ask();
    verdicts.equal('S4', 'writable again, it goes on by itself', `${after.status === 200 && after.whole ? 'served' : codeOf(after)}, readiness ${await fetch(`${daemon.url}/readyz`).then(({ status }) => status)}`, 'served, readiness 200');
  });
}
