import { confirm } from '../ask.ts';
import type { Call, Verb } from '../command.ts';
import type { Books, Context } from '../context.ts';
import { Refusal, wrongUsage } from '../failure.ts';
import { lookIntoVaultOf, openAnewVaultOf, openVaultOf } from '../secrets.ts';
import { renderRecord } from '../table.ts';

export const ROTATE: Verb = {
  usage: 'rotate-master-key',
  about: 'make a new master key and seal every stored key with it; a crash leaves the old one or the new one in force',
  brief: 'seal every stored key with a new master key',
  options: [
    { flags: '--forget-old', about: 'do not keep the old key behind the new one; keys in earlier backups can then not be read' },
    { flags: '--lost', about: 'the old key is gone for good: forget every stored provider key, for nothing opens them any more, and begin with a new one' },
  ],
  examples: ['findtoken rotate-master-key --yes', 'findtoken rotate-master-key --lost --yes'],
  run: rotate,
};

/** What became of the master key. */
interface Change {
  readonly source: string;
  readonly fingerprint: string;
  readonly before: string | undefined;
  readonly resealed: number;
  readonly forgotten: number;
}

async function rotate({ context, given }: Call): Promise<void> {
  if (given.flag('forget-old') && given.flag('lost')) throw wrongUsage('--forget-old and --lost exclude each other: a key that is lost is kept nowhere.');
  const { lockRotation } = await import('../../ledger/index.ts');
  const { source, fingerprint, before, resealed, forgotten } = await context.write(async (books) => {
    const lock = lockRotation(books.settings.database.path);
    try {
      return given.flag('lost') ? await beginAnew(context, books) : await reseal(context, books, given.flag('forget-old'));
    } finally {
      lock.release();
    }
  });
  context.show({ object: 'master_key_rotation', source, fingerprint, fingerprint_before: before ?? null, resealed, forgotten }, () =>
    renderRecord([['source', source], ['fingerprint', fingerprint], ['before', before ?? '–'], ['resealed', String(resealed)], ...(forgotten > 0 ? [['forgotten', String(forgotten)] as const] : [])], context.terminal));
  if (forgotten > 0) context.terminal.note('Register them again: yours with `findtoken providers set-key NAME`, each account its own.');
  context.terminal.note(`Back up the ${source} apart from the database.`);
}

async function reseal(context: Context, books: Books, forgetOld: boolean): Promise<Change> {
  const { rotateMasterKey } = await import('../../accounts/index.ts');
  const vault = await openVaultOf(context, books);
  const loss = forgetOld ? ' Keys in earlier backups can then not be read any more.' : '';
  await confirm(context, `Change the master key in the ${vault.source}?${loss}`);
  return { ...(await rotateMasterKey({ ...books, vault }, { forgetOld })), source: vault.source, before: vault.fingerprint, forgotten: 0 };
}

/** @throws Refusal where the key is there after all: what it sealed is not thrown away by a slip. */
async function beginAnew(context: Context, books: Books): Promise<Change> {
  const [{ countSealed, forgetSealed }, { noteOf, VaultError }] = await Promise.all([import('../../accounts/index.ts'), import('../../vault/index.ts')]);
  const { fingerprint: before } = await noteOf({ get: (name: string) => books.ledger.note(name) });
  if (before !== undefined) {
    const found = await lookIntoVaultOf(context, books).catch((error: unknown) => {
      if (error instanceof VaultError && GONE.has(error.reason)) return undefined;
      throw error;
    });
    if (found !== undefined) throw new Refusal(`the master key is there, in the ${found.source}, and nothing is lost. \`findtoken rotate-master-key\` changes it.`);
  }
  const forgotten = await countSealed(books);
  await confirm(context, `Forget ${forgotten === 1 ? 'the stored provider key' : `all ${forgotten} stored provider keys`} for good? If the master key may still turn up, put it back instead.`);
  await forgetSealed(books);
  const vault = await openAnewVaultOf(context, books);
  // A running daemon still had the old key, and may have sealed with it until the new one was noted.
  await forgetSealed(books);
  return { source: vault.source, fingerprint: vault.fingerprint, before, resealed: 0, forgotten };
}

/** A key in a form that cannot be read, or a file with wrong rights, is there: that is mended instead. */
const GONE: ReadonlySet<string> = new Set(['missing_key', 'wrong_key', 'keychain_unreachable']);
