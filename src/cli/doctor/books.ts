import { dirname } from 'node:path';
import { losing } from '../../catalog/index.ts';
import { isThere } from '../../disk.ts';
import type { Ledger } from '../../ledger/index.ts';
import type { Settings } from '../../settings/index.ts';
import type { Books, Context } from '../context.ts';
import { sizeText } from '../format.ts';
import { lookIntoVaultOf } from '../secrets.ts';
import { fail, ok, warn } from './check.ts';
import type { Check } from './check.ts';

const MIB = 1024 * 1024;
/** The daemon folds the journal in at 16 MiB; one many times as large has a reader in its way. */
const WAL_WARN_BYTES = 256 * MIB;
const CLOCK_BACK_MS = 60_000;

/** The database file: sound, of this program's shape, private. */
export async function checkDatabase({ database }: Settings, wish: { readonly deep: boolean }): Promise<readonly Check[]> {
  const { path } = database;
  if (!isThere(path)) return [warn('database', `${path} does not exist yet`, 'findtoken init')];
  const { inspectLedger } = await import('../../ledger/index.ts');
  const found = inspectLedger({ path, folder: dirname(path), deep: wish.deep });
  const mode = (bits: number) => bits.toString(8).padStart(4, '0');
  return [
    ok('database', `${sizeText(found.bytes)}, SQLite ${found.sqlite}, in ${path}`),
    found.integrity === 'ok' && found.foreignKeys !== 'broken'
      ? ok('database.integrity', wish.deep ? 'every row, index and reference is sound' : 'pages are sound; --deep reads every index too')
      : fail('database.integrity', found.integrity === 'ok' ? 'a row refers to one that is not there' : found.integrity, 'findtoken restore FILE'),
    schemaCheck(found.schema, found.schemaKnown),
    found.walBytes > WAL_WARN_BYTES
      ? warn('database.wal', `${sizeText(found.walBytes)} are not folded in`, 'start the daemon again, and end what reads the file for long')
      : ok('database.wal', `${sizeText(found.walBytes)} are not folded in`),
    ok('database.pragmas', 'WAL, fsync at every commit, foreign keys: read back'),
    (found.fileMode & 0o077) === 0 && (found.folderMode & 0o022) === 0
      ? ok('database.permissions', `${mode(found.fileMode)}, folder ${mode(found.folderMode)}`)
      : warn('database.permissions', `others may read or change it: ${mode(found.fileMode)}, folder ${mode(found.folderMode)}`, `chmod 600 ${path} && chmod 700 ${dirname(path)}`),
  ];
}

function schemaCheck(schema: number, known: number): Check {
  if (schema === known) return ok('database.schema', `version ${schema}`);
  const detail = `version ${schema}, this program writes ${known}`;
  return schema > known ? fail('database.schema', detail, 'use the newer findtoken that made it') : warn('database.schema', detail, 'findtoken backup FILE, then start the daemon, or restart the one that runs: it brings it up to date');
}

/** The master key: where it is, and whether it opens what is sealed. Never makes one. */
export async function checkMasterKey(context: Context, books: Books): Promise<readonly Check[]> {
  const { ledger } = books;
  if ((await ledger.note('master_key')) === undefined) return [ok('master_key', 'not made yet: nothing is sealed')];
  const vault = await lookIntoVaultOf(context, books);
  const { openProviderKeys } = await import('../../accounts/index.ts');
  const opened = (await openProviderKeys({ ledger, vault })).size;
  return [ok('master_key', `in the ${vault.source}, fingerprint ${vault.fingerprint}; opens ${opened} provider key${opened === 1 ? '' : 's'}`)];
}

/** Time that went back would open months and expire credits wrongly. */
export async function checkClock({ ledger, nowMs }: { readonly ledger: Ledger; readonly nowMs: number }): Promise<readonly Check[]> {
  const [last, state] = await Promise.all([ledger.listRequests({}, { limit: 1 }), ledger.daemonState()]);
  const latestMs = Math.max(last.rows[0]?.createdMs ?? 0, state?.beatMs ?? 0);
  if (latestMs > nowMs + CLOCK_BACK_MS) return [fail('clock.books', `the books hold something of ${new Date(latestMs).toISOString()}, and the clock says ${new Date(nowMs).toISOString()}`, 'set the clock (systemd: timedatectl set-ntp true)')];
  return [ok('clock.books', 'nothing in the books is of a time to come')];
}

/** Models sold for less than they cost at the provider's list price, at all hours or in its peak hours. */
export function checkPrices({ catalog }: Settings): Check {
  const { always, atPeak } = losing([...catalog.models.values()]);
  if (always.length === 0 && atPeak.length === 0) return ok('prices', 'no model is sold below its provider\'s list price');
  const named = (found: typeof always, how: string): readonly string[] => (found.length === 0 ? [] : [`${how}: ${found.map(({ id }) => id).join(', ')}`]);
  const told = [...named(always, 'sold below the provider\'s list price'), ...named(atPeak, 'sold below its price in peak hours')];
  return warn('prices', told.join('; '), 'set models.<id>.price in findtoken.yaml; `findtoken models MODEL` shows both');
}
