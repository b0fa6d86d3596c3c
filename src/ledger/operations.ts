import type { Books } from './books.ts';

/** The methods that write. Whatever is not named here is read, and works on a readonly connection. */
export const WRITES = [
  'createAccount', 'setAccountStatus', 'setAccountLimit', 'createKey', 'revokeKey', 'hold', 'progress', 'settle', 'release', 'recover', 'claimIdempotency',
  'grant', 'saveByokKey', 'removeByokKey', 'saveProviderKey', 'removeProviderKey', 'replaceSealed', 'setNote', 'noteOnce', 'publish',
  'startRecharge', 'attachCheckout', 'landRecharge', 'expireRecharge', 'refundRecharge', 'disputeRecharge',
  'createActivation', 'activate', 'takeDueMail', 'markSent', 'markFailed', 'queueNotice', 'expireCredits', 'deactivateIdle', 'removeRequests', 'removeMinutes',
] as const;

export type WriteName = (typeof WRITES)[number];
export type WriteArgs = { [K in WriteName]: Parameters<Books[K]> };
export type WriteResults = { [K in WriteName]: ReturnType<Books[K]> };
type WriteTable = { [K in WriteName]: (...args: WriteArgs[K]) => WriteResults[K] };

/** One write, as data: this is what crosses to the worker thread. */
export type Operation<K extends WriteName = WriteName> = { [N in K]: { readonly name: N; readonly args: WriteArgs[N] } }[K];

/** Calls the method that an operation names, inside a transaction that the caller holds. */
export function perform<K extends WriteName>(books: WriteTable, name: K, args: WriteArgs[K]): WriteResults[K] {
  return books[name](...args);
}

/** What became of one operation. `storage` is SQLite's code where the disk is at fault. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly storage: string | undefined };
