import type { Books } from './books.ts';
import type { WriteArgs, WriteName, WriteResults } from './operations.ts';
import type { Reseal } from './sealed.ts';
import type { LifeLedger } from './life-types.ts';
import type { RechargeLedger } from './recharge-types.ts';
import type { StorageState } from './space.ts';
import type { Forward, Ledger } from './types.ts';

/** How a form of the ledger gets at its books. */
export interface Access {
  /** Runs a read on this thread's own connection. */
  read<T>(work: (books: Books) => T): Promise<T>;
  /** Resolves when the write is durable. */
  write<K extends WriteName>(name: K, ...args: WriteArgs[K]): Promise<WriteResults[K]>;
  storage(): Promise<StorageState>;
  close(): Promise<void>;
  readonly failed: Promise<Error> | undefined;
  readonly forward?: Forward;
}

/** Somebody else's save between reading and writing is rare; this often in a row it is a fault. */
const RESEAL_TRIES = 10;

/** The door's methods, each sent the way that its form has for reading or for writing. */
export function createDoor({ read, write, storage, close, failed, forward }: Access): Ledger {
  return {
    createAccount: (account) => write('createAccount', account),
    findAccount: (idOrEmail) => read((books) => books.findAccount(idOrEmail)),
    listAccounts: () => read((books) => books.listAccounts()),
    setAccountStatus: (accountId, status, nowMs) => write('setAccountStatus', accountId, status, nowMs),
    setAccountLimit: (accountId, limit) => write('setAccountLimit', accountId, limit),

    createKey: (key) => write('createKey', key),
    listKeys: (accountId, page) => read((books) => books.listKeys(accountId, page)),
    keyById: (keyId) => read((books) => books.keyById(keyId)),
    revokeKey: (accountId, keyId, nowMs) => write('revokeKey', accountId, keyId, nowMs),
    findKey: (hash) => read((books) => books.findKey(hash)),

    hold: (request) => write('hold', request),
    progress: (id, end) => write('progress', id, end),
    settle: (settlement) => write('settle', settlement),
    release: (end) => write('release', end),
    recover: (nowMs, life) => write('recover', nowMs, life),
    claimIdempotency: (claim) => write('claimIdempotency', claim),

    grant: (grant) => write('grant', grant),
    listTransfers: (filter) => read((books) => books.listTransfers(filter)),
    listMovements: (filter) => read((books) => books.listMovements(filter)),
    statement: (span) => read((books) => books.glance(() => books.statement(span))),

    ...rechargeDoor({ read, write }),
    ...lifeDoor({ read, write }),

    listRequests: (filter, page) => read((books) => books.listRequests(filter, page)),
    requestsSince: (cursor, filter, limit) => read((books) => books.requestsSince(cursor, filter, limit)),
    removeRequests: (wish) => write('removeRequests', wish),
    removedRequests: (span) => read((books) => books.removedRequests(span)),
    findRequest: (id) => read((books) => books.findRequest(id)),
    removeMinutes: (wish) => write('removeMinutes', wish),
    minutesFrom: () => read((books) => books.minutesFrom()),
    usageTotals: (by, span) => read((books) => books.glance(() => books.usageTotals(by, span))),
    usageTables: (groupings, span) => read((books) => books.glance(() => books.usageTables(groupings, span))),
    usageByMinute: (span) => read((books) => books.usageByMinute(span)),
    byokCount: (accountId, month) => read((books) => books.byokCount(accountId, month)),

    saveByokKey: (key, noted) => write('saveByokKey', key, noted),
    listByokKeys: (accountId) => read((books) => books.listByokKeys(accountId)),
    removeByokKey: (accountId, id) => write('removeByokKey', accountId, id),
    saveProviderKey: (key, noted) => write('saveProviderKey', key, noted),
    listProviderKeys: () => read((books) => books.listProviderKeys()),
    removeProviderKey: (provider) => write('removeProviderKey', provider),
    resealAll: (reseal) => resealAll({ read, write }, reseal),

    note: (name) => read((books) => books.note(name)),
    setNote: (name, value) => write('setNote', name, value),
    noteOnce: (name, value) => write('noteOnce', name, value),
    publish: (state) => write('publish', state),
    daemonState: () => read((books) => books.daemonState()),

    chainHead: () => read((books) => books.chainHead()),
    chainHash: (seq) => read((books) => books.chainHash(seq)),

    audit: () => read((books) => books.glance(() => books.audit())),
    storage,
    close,
    ...(failed === undefined ? {} : { failed }),
    ...(forward === undefined ? {} : { forward }),
  };
}

/** Paying in and back. */
function rechargeDoor({ read, write }: Pick<Access, 'read' | 'write'>): RechargeLedger {
  return {
    startRecharge: (wanted) => write('startRecharge', wanted),
    attachCheckout: (checkout) => write('attachCheckout', checkout),
    landRecharge: (landing) => write('landRecharge', landing),
    expireRecharge: (ended) => write('expireRecharge', ended),
    refundRecharge: (refund) => write('refundRecharge', refund),
    disputeRecharge: (dispute) => write('disputeRecharge', dispute),
    findRecharge: (id) => read((books) => books.findRecharge(id)),
    listRecharges: (filter, page) => read((books) => books.listRecharges(filter, page)),
  };
}

/** Signing up, mail, the end of idle credits. */
function lifeDoor({ read, write }: Pick<Access, 'read' | 'write'>): LifeLedger {
  return {
    createActivation: (wanted) => write('createActivation', wanted),
    activate: (use) => write('activate', use),
    hasDueMail: (nowMs) => read((books) => books.hasDueMail(nowMs)),
    takeDueMail: (take) => write('takeDueMail', take),
    markSent: (sent) => write('markSent', sent),
    markFailed: (failed) => write('markFailed', failed),
    listMail: (page) => read((books) => books.listMail(page)),
    listIdle: (filter) => read((books) => books.listIdle(filter)),
    queueNotice: (notice) => write('queueNotice', notice),
    expireCredits: (idle) => write('expireCredits', idle),
    deactivateIdle: (idle) => write('deactivateIdle', idle),
  };
}

/** A function cannot cross to the worker: the rows are read, sealed anew here, and written only if they are still the same. */
async function resealAll({ read, write }: Pick<Access, 'read' | 'write'>, reseal: Parameters<Ledger['resealAll']>[0]): Promise<number> {
  for (let tries = 0; tries < RESEAL_TRIES; tries += 1) {
    const { byokKeys, providerKeys } = await read((books) =>
      books.glance(() => ({ byokKeys: books.everyByokKey(), providerKeys: books.listProviderKeys() })));
    const byok = byokKeys.map((key): Reseal => ({ id: key.id, from: key.sealed, to: reseal.byok(key) }));
    const provider = providerKeys.map((key): Reseal => ({ id: key.provider, from: key.sealed, to: reseal.provider(key) }));
    if (await write('replaceSealed', { byok, provider, notes: reseal.notes })) return byok.length + provider.length;
  }
  throw new Error('the sealed keys changed at every try; stop the daemon and try again');
}
