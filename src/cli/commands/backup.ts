import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { confirm } from '../ask.ts';
import { argument } from '../command.ts';
import type { Call, Verb } from '../command.ts';
import { ENDINGS, EXIT, Refusal, wrongUsage } from '../failure.ts';
import { sizeText } from '../format.ts';
import { printable } from '../printable.ts';

export const BACKUP: Verb = {
  usage: 'backup <file>',
  about: 'copy the database into a file, as it is at one moment, while the daemon goes on; the master key is not in it',
  brief: 'copy the database into a file, while the daemon goes on',
  examples: ['findtoken backup findtoken-backup.db', 'findtoken backup --yes /var/backups/findtoken.db'],
  run: backup,
};

export const RESTORE: Verb = {
  usage: 'restore <file>',
  about: 'put a backup in the place of the database; refused while a daemon runs; the replaced file is kept beside it',
  brief: 'put a backup in the place of the database',
  examples: ['findtoken restore findtoken-backup.db', 'findtoken restore --yes /var/backups/findtoken.db'],
  run: restore,
};

/**
 * Ends at once, but in order: what is half-done is removed at the exit. A machine that shuts down or a terminal that closes would else
 * leave half a copy beside the target.
 */
function endInOrder(): void {
  for (const [signal, code] of ENDINGS) process.once(signal, () => process.exit(code));
}

async function backup(call: Call): Promise<void> {
  endInOrder();
  const { context } = call;
  const written = argument(call, 0);
  // Behind a pipe a file of that name would be found missing on the day it is needed.
  if (written === '-') throw wrongUsage('a backup goes into a file, not to standard output; name one.');
  const to = resolve(written);
  const { path } = (await context.settings()).database;
  const { backupLedger } = await import('../../ledger/index.ts');
  const { bytes } = await backupLedger({ path, to, replaces: () => confirm(context, `Replace the backup ${to}?`) });
  const document = { object: 'backup', file: to, database: path, bytes };
  context.show(document, () => printable(to));
  context.terminal.note(`${sizeText(bytes)}. What is sealed in it opens only with the master key; keep that in another place (\`findtoken doctor\` says where it is).`);
}

async function restore(call: Call): Promise<void> {
  endInOrder();
  const { context } = call;
  const from = resolve(argument(call, 0));
  if (!existsSync(from)) throw new Refusal(`there is no file ${from}; name one that \`findtoken backup\` made.`, EXIT.notFound);
  const { path } = (await context.settings()).database;
  if (from === path) throw new Refusal('that is the database itself; name a backup.');
  const isReplacing = existsSync(path);
  if (isReplacing) await confirm(context, `Replace the database ${path} by ${from}? The present one is kept beside it.`);
  const { LedgerError, restoreLedger } = await import('../../ledger/index.ts');
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const { kept, bytes, isOlder } = await restoreLedger({ path, from, stamp }).catch((error: unknown) => {
    if (!(error instanceof LedgerError) || error.code !== 'ledger_locked') throw error;
    throw new Refusal(`a daemon runs on ${path}; stop it, then restore. Nothing was changed.`);
  });
  context.show({ object: 'restore', database: path, from, bytes, replaced: kept ?? null }, () => printable(path));
  if (kept !== undefined) context.terminal.note(`The replaced database is kept as ${kept}.`);
  if (isOlder) context.terminal.note('It is of an older findtoken: start the daemon first (`findtoken serve`, with --accept-rollback where it says so), which brings it up to date.');
  context.terminal.note('Next: `findtoken audit` recomputes every balance, `findtoken doctor` tries the master key.');
}
