import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, realpathSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolder, whyNot } from '../disk.ts';
import { LedgerError, type Ledger } from '../ledger/index.ts';
import { fingerprint } from '../vault/index.ts';
import type { DaemonLog } from './log.ts';

const NOTE_MS = 1_000;
const BOOK_NOTE = 'book';

export interface AnchorParts {
  /** `database.anchors` */
  readonly folder: string;
  readonly databasePath: string;
  readonly ledger: Pick<Ledger, 'note' | 'noteOnce' | 'chainHead' | 'chainHash'>;
  /** The operator knows that the book is older than it was, and has it stand. */
  readonly acceptRollback: boolean;
  /** The sandbox is on: an empty book in the place of another is warned of, not refused, for people throw rehearsals away. */
  readonly isRehearsal?: boolean;
  readonly log: Pick<DaemonLog, 'info' | 'warn'>;
}

/** How far the transfers of a book had come when they were last seen. */
interface Anchor {
  readonly seq: bigint;
  readonly hash: string;
}

/**
 * Compares the book with what was last noted of it in a folder of its own, then notes its head every second and at the end. A backup
 * that took the place of a newer book, commits that a disk lost, and an empty book where another was (its folder was not mounted, its
 * journal was lost before anything was folded) are told this way: SQLite itself opens all of them without a word.
 * A folder that cannot be written is warned of once; it stops nothing.
 * @returns stops noting, after a last note
 * @throws LedgerError `ledger_rolled_back` where the book no longer has the link that was noted, or is not the one that was here,
 *   with the two ways out.
 */
export async function keepAnchor(parts: AnchorParts): Promise<() => Promise<void>> {
  const { folder, ledger, log } = parts;
  const { book, place } = await nameOf(parts);
  const path = join(folder, `${book}${place}`);
  const noted = readAnchor(path, log);
  if (noted === undefined) dismissOthers(parts, place, path);
  if (noted !== undefined && (await ledger.chainHash(noted.seq)) !== noted.hash) {
    const head = await ledger.chainHead();
    if (!parts.acceptRollback) throw rolledBack(parts.databasePath, path, noted, head);
    log.warn('rollback_accepted', { noted_transfer: Number(noted.seq), newest_transfer: Number(head?.seq ?? 0n) });
  }
  let last: Anchor | undefined;
  let isTold = false;
  const note = async () => {
    const head = await ledger.chainHead();
    if (head === undefined || head.hash === last?.hash) return;
    try {
      writeAnchor(path, head);
      last = head;
    } catch (error) {
      if (!isTold) log.warn('anchor_not_written', { path, reason: whyNot(path, error) ?? (error instanceof Error ? error.message : 'unknown') });
      isTold = true;
    }
  };
  await note();
  if (dirname(path) === dirname(realpathSync(parts.databasePath))) log.warn('anchor_beside_database', { path, mend: 'set database.anchors to another folder' });
  const timer = setInterval(() => {
    note().catch((error: unknown) => log.warn('anchor_not_read', { reason: error instanceof Error ? error.message : 'unknown' }));
  }, NOTE_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await note();
  };
}

/**
 * Looks for notes of other books in this place, and puts them aside once the operator has accepted this one: their names then end
 * in `.replaced`.
 */
function dismissOthers({ folder, databasePath, acceptRollback, isRehearsal = false, log }: AnchorParts, place: string, own: string): void {
  const others = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(place)) : [];
  for (const path of others.map((name) => join(folder, name))) {
    if (path === own) continue;
    if (!acceptRollback && !isRehearsal) {
      throw new LedgerError(
        'ledger_rolled_back',
        `${databasePath} is not the book that was here before: ${path} notes transfers of another, and of this one there is no note. Put the other database back (is its disk mounted?), or start once with --accept-rollback if this one shall stand.`,
      );
    }
    log.warn('book_replaced', { note: path });
    renameSync(path, `${path}.replaced`);
  }
}

/** A book has an id of its own, and a copy of it in another place is another book: it has its own way from there. */
async function nameOf({ ledger, databasePath }: AnchorParts): Promise<{ readonly book: string; /** The end of the names of all notes of this place. */ readonly place: string }> {
  const book = (await ledger.note(BOOK_NOTE)) ?? (await ledger.noteOnce(BOOK_NOTE, globalThis.crypto.randomUUID()));
  const place = Buffer.from(fingerprint([realpathSync(databasePath)])).toString('hex').slice(0, 12);
  return { book, place: `.${place}.anchor` };
}

function readAnchor(path: string, log: AnchorParts['log']): Anchor | undefined {
  try {
    const match = /^(\d{1,18}) ([0-9a-f]{64})\n$/.exec(readFileSync(path, 'utf8'));
    if (match !== null) return { seq: BigInt(match[1] ?? ''), hash: match[2] ?? '' };
    log.warn('anchor_unreadable', { path });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) log.warn('anchor_unreadable', { path });
  }
  return undefined;
}

/** Whole or not at all, and on the disk when it returns. */
function writeAnchor(path: string, { seq, hash }: Anchor): void {
  makeFolder(dirname(path));
  const file = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeSync(file, `${seq} ${hash}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}

function rolledBack(databasePath: string, path: string, noted: Anchor, head: Anchor | undefined): LedgerError {
  return new LedgerError(
    'ledger_rolled_back',
    `${databasePath} is older than it was, or damaged: ${path} notes transfer ${noted.seq}, and the newest here is ${head?.seq ?? 0n}. Put the newer database back, or start once with --accept-rollback if this one shall stand.`,
  );
}
