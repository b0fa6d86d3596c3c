import { StorageFault, type Ledger, type Receipt, type RequestEnd, type Settlement } from '../ledger/index.ts';
import type { Log } from './types.ts';

/** The end of a request as the books take it: what it is charged, or that it costs nothing. */
export type Ending =
  | { readonly kind: 'settle'; readonly end: Settlement; onDone(receipt: Receipt): void }
  | { readonly kind: 'release'; readonly end: RequestEnd };

/** Of those that cannot be written so many are kept; each is some hundred bytes. */
const KEPT_MAX = 20_000;
const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

export interface EndingsOptions {
  readonly ledger: Pick<Ledger, 'settle' | 'release'>;
  readonly log: Pick<Log, 'warn' | 'error'>;
  /** The first wait, which doubles up to thirty times as much. */
  readonly firstMs?: number;
  readonly keptMax?: number;
}

/**
 * Ends of requests that the books did not take when they came: the disk was full, another process kept the write lock. Each would
 * keep its hold, and the credits with it, for as long as the daemon lives. They are tried again, one after the other, until they
 * are durable; an end is written once, however often it is tried. What is left when the daemon stops is closed by its next start.
 */
export class Endings {
  readonly #options: EndingsOptions;
  readonly #owed: Ending[] = [];
  #waitMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isFull = false;
  #done = 0;

  constructor(options: EndingsOptions) {
    this.#options = options;
    this.#waitMs = options.firstMs ?? FIRST_MS;
  }

  /** How many are still to be written. */
  get owed(): number {
    return this.#owed.length;
  }

  /**
   * Keeps an end that was refused with `error`, to write it later. False where waiting mends nothing: it was no fault of the disk.
   * Beyond the bound it is not kept, and the next start closes it.
   */
  owe(ending: Ending, error: unknown): boolean {
    if (!(error instanceof StorageFault)) return false;
    const { log, keptMax = KEPT_MAX } = this.#options;
    if (this.#owed.length >= keptMax) {
      if (!this.#isFull) log.warn('endings_dropped', { kept: keptMax, mend: 'the holds of further requests stay open until a restart' });
      this.#isFull = true;
      return true;
    }
    if (this.#owed.length === 0) log.warn('endings_delayed', { req_id: ending.end.id, detail: error.detail });
    this.#owed.push(ending);
    this.#wait();
    return true;
  }

  /** Tries at once to write the end of this request, for somebody waits for it. True where it was owed here, and is no more. */
  async hurry(id: string): Promise<boolean> {
    const ending = this.#owed.find(({ end }) => end.id === id);
    return ending !== undefined && this.#write(ending);
  }

  /** Tries no more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #wait(): void {
    if (this.#isStopped || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => void this.#tryAll(), this.#waitMs);
    this.#timer.unref();
  }

  async #tryAll(): Promise<void> {
    const { firstMs = FIRST_MS, log } = this.#options;
    // One after the other: where the first is refused the others need not each wait for the lock as well.
    for (let next = this.#owed[0]; next !== undefined && !this.#isStopped; next = this.#owed[0]) {
      if (!(await this.#write(next))) break;
      this.#waitMs = firstMs;
    }
    this.#timer = undefined;
    if (this.#owed.length > 0) {
      this.#waitMs = Math.min(this.#waitMs * 2, (firstMs * LONGEST_MS) / FIRST_MS);
      this.#wait();
    } else if (this.#done > 0) {
      log.warn('endings_written', { count: this.#done });
      this.#done = 0;
      this.#isFull = false;
    }
  }

  /** True when nothing is left to be done about it; then it is owed no more. */
  async #write(ending: Ending): Promise<boolean> {
    const { ledger, log } = this.#options;
    try {
      if (ending.kind === 'settle') ending.onDone(await ledger.settle(ending.end));
      else await ledger.release(ending.end);
    } catch (error) {
      if (error instanceof StorageFault) return false;
      // A ledger that was closed meanwhile has nothing to tell.
      if (!this.#isStopped) log.error('ending_failed', error);
    }
    const at = this.#owed.indexOf(ending);
    // It may have been hurried and had its turn at the same time.
    if (at === -1) return true;
    this.#owed.splice(at, 1);
    this.#done += 1;
    return true;
  }
}
