import type { Ledger } from '../ledger/index.ts';
import type { DaemonLog } from './log.ts';

/** Four times what the journal grows to before it is folded into the database: beyond it something keeps it from being folded. */
export const JOURNAL_ALARM_BYTES = 64 * 1_048_576;

/**
 * Looks at the disk under the books, and says once when it becomes short or the journal grows beyond `JOURNAL_ALARM_BYTES`, and once
 * when that is over. The journal cannot be folded past what a reader still sees: a reader that stays lets it grow without end.
 * @returns one look
 */
export function watchDisk({ ledger, log }: { readonly ledger: Pick<Ledger, 'storage'>; readonly log: Pick<DaemonLog, 'info' | 'warn'> }): () => Promise<void> {
  let wasShort = false;
  let wasLarge = false;
  return async () => {
    const { freeBytes, isShort, journalBytes } = await ledger.storage();
    const isLarge = journalBytes > JOURNAL_ALARM_BYTES;
    if (isShort && !wasShort) log.warn('disk_short', { free_mib: mib(freeBytes), mend: 'free space: new requests are refused, what runs is settled' });
    if (!isShort && wasShort) log.info('disk_has_room', { free_mib: mib(freeBytes) });
    if (isLarge && !wasLarge) log.warn('journal_large', { journal_mib: mib(journalBytes), mend: 'end the process that keeps a read transaction open on the database, such as a backup tool or a SQL shell' });
    if (!isLarge && wasLarge) log.info('journal_folded', { journal_mib: mib(journalBytes) });
    [wasShort, wasLarge] = [isShort, isLarge];
  };
}

function mib(bytes: number): number {
  return Math.floor(bytes / 1_048_576);
}
