import { createAccountBooks } from './accounts.ts';
import { createActivationBooks } from './activations.ts';
import { createAuditBooks } from './audit.ts';
import { createBatch } from './batch.ts';
import { createChainBooks } from './chain.ts';
import type { Connection } from './connection.ts';
import { createEndingBooks } from './endings.ts';
import { createExpiryBooks } from './expiry.ts';
import { createHistoryBooks } from './history.ts';
import { createHoldBooks } from './holds.ts';
import { createIdempotencyBooks } from './idempotency.ts';
import { createKeyBooks } from './keys.ts';
import { createMinuteBooks } from './minutes.ts';
import { createMovementBooks } from './movements.ts';
import { createNoteBooks } from './notes.ts';
import { createOutboxBooks } from './outbox.ts';
import { createRechargeBooks } from './recharges.ts';
import { createRetentionBooks } from './retention.ts';
import { createSealedBooks, type SealedBooks } from './sealed.ts';
import { createTransferBooks } from './transfers.ts';
import type { Ledger } from './types.ts';
import { createUsageBooks } from './usage.ts';

/** The door's methods as they are within one thread: the same arguments, the answer itself. */
export type Sync<T> = { readonly [K in keyof T]: T[K] extends (...args: infer A) => Promise<infer R> ? (...args: A) => R : never };

/** What the books do with one connection, knowing nothing of threads. */
export interface Books extends Sync<Omit<Ledger, 'close' | 'failed' | 'resealAll' | 'storage'>>, Pick<SealedBooks, 'everyByokKey' | 'replaceSealed'> {
  /** Runs writes as one transaction that holds the write lock from its start: all of them are durable afterwards, or none. */
  commit<T>(writes: () => T): T;
  /** Runs reads that see one moment of the books. */
  glance<T>(reads: () => T): T;
}

/**
 * @param boot names this process's life: `recover` ends what other lives left open.
 * Every writing method is to be called within `commit`.
 */
export function createBooks(db: Connection, boot: string): Books {
  const begin = db.prepare('BEGIN IMMEDIATE');
  const beginRead = db.prepare('BEGIN DEFERRED');
  const commit = db.prepare('COMMIT');
  const batch = createBatch(db);
  const { record, ...transfers } = createTransferBooks(db, batch);
  const notes = createNoteBooks(db);
  const minutes = createMinuteBooks(db, notes.setNote);
  const { extend, forgetHead, breaks, ...chain } = createChainBooks(db);
  const accounts = createAccountBooks(db);
  const keys = createKeyBooks(db);
  const { queueMail, ...outbox } = createOutboxBooks(db);

  const within = <T>(start: { run(): unknown }, work: () => T, finish: () => void): T => {
    start.run();
    try {
      const result = work();
      finish();
      commit.run();
      return result;
    } catch (error) {
      batch.clear();
      forgetHead();
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  };
  return {
    ...accounts,
    ...keys,
    ...createHoldBooks(db, batch, boot),
    ...createIdempotencyBooks(db),
    ...createEndingBooks(db, batch, { record }, boot),
    ...transfers,
    ...createMovementBooks(db),
    ...createRechargeBooks(db, batch, { record }),
    ...outbox,
    ...createActivationBooks(db, { accounts, keys, outbox: { queueMail } }),
    ...createExpiryBooks(db, { batch, transfers: { record }, outbox: { queueMail } }),
    ...createHistoryBooks(db),
    ...createRetentionBooks(db),
    ...createUsageBooks(db, minutes),
    ...minutes,
    ...createSealedBooks(db, notes),
    ...notes,
    ...createAuditBooks(db, breaks),
    ...chain,
    commit: (writes) =>
      within(begin, writes, () => {
        batch.flush();
        extend(batch.postings.close());
      }),
    glance: (reads) => within(beginRead, reads, () => undefined),
  };
}
