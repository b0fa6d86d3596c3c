import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { WriteName } from './operations.ts';

/** Room on the disk that is kept for ending what runs. */
export interface SpaceRules {
  /** With less than this left free nothing new is begun. */
  readonly reserveBytes: number;
  /** Size of a file beside the database that is given up when the disk is full all the same. */
  readonly ballastBytes: number;
}

/** The disk under the books, as it stands. */
export interface StorageState {
  readonly freeBytes: number;
  /** Less is free than is kept for ending what runs: nothing new is begun. Never where nothing is kept. */
  readonly isShort: boolean;
  /** What was committed and is not yet in the main file, and room of it that waits to be used again. Grows without end under a reader that stays. */
  readonly journalBytes: number;
  /** What the disk did to the last write of this process, such as `SQLITE_IOERR_WRITE`; undefined where it took it. */
  readonly trouble: string | undefined;
}

/** @throws Error where the folder cannot be asked, such as ENOENT */
export async function storageOf(databasePath: string, rules: SpaceRules | undefined, trouble: string | undefined): Promise<StorageState> {
  const { bavail, bsize } = await statfs(dirname(databasePath));
  const freeBytes = bavail * bsize;
  const journal = statSync(`${databasePath}-wal`, { throwIfNoEntry: false });
  return { freeBytes, isShort: rules !== undefined && freeBytes < rules.reserveBytes, journalBytes: journal?.size ?? 0, trouble };
}

/** What begins something that will need more room later. Endings, and all that gives back, go on. */
const BEGINNINGS: ReadonlySet<WriteName> = new Set<WriteName>(['hold', 'claimIdempotency', 'createAccount', 'createKey', 'startRecharge', 'saveByokKey']);
/** How often the disk is asked. */
const LOOK_MS = 200;

/**
 * Watches the disk under the books. New work is refused before the disk is full; where others fill it nevertheless, the ballast is
 * freed, so that what runs can settle. Both come back by themselves when there is room again.
 */
export class Space {
  readonly #path: string;
  readonly #rules: SpaceRules;
  readonly #nowMs: () => number;
  #lookedMs = -Infinity;
  #isShort = false;

  /** @param nowMs a monotonic clock */
  constructor(databasePath: string, rules: SpaceRules, nowMs: () => number) {
    this.#path = `${databasePath}.ballast`;
    this.#rules = rules;
    this.#nowMs = nowMs;
    this.#look();
  }

  /** False where this would begin something that there is no room for. */
  admits(name: WriteName): boolean {
    if (!BEGINNINGS.has(name)) return true;
    if (this.#nowMs() - this.#lookedMs >= LOOK_MS) this.#look();
    return !this.#isShort;
  }

  /** The disk is full: frees what was kept for that. */
  relieve(): void {
    this.#isShort = true;
    this.#lookedMs = this.#nowMs();
    rmSync(this.#path, { force: true });
  }

  #look(): void {
    this.#lookedMs = this.#nowMs();
    const { reserveBytes, ballastBytes } = this.#rules;
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    const freeBytes = bavail * bsize;
    this.#isShort = freeBytes < reserveBytes;
    if (freeBytes >= reserveBytes + ballastBytes && !existsSync(this.#path)) this.#fill(ballastBytes);
  }

  /** Chance, not zeros: a file system that compresses would keep no room for zeros. */
  #fill(size: number): void {
    const piece = globalThis.crypto.getRandomValues(new Uint8Array(65_536));
    const file = openSync(this.#path, 'w', 0o600);
    try {
      for (let at = 0; at < size; at += piece.length) writeSync(file, piece);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
}
