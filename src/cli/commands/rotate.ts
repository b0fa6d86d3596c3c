import { confirm } from '../ask.ts';
import type { Call, Verb } from '../command.ts';
import { openVaultOf } from '../secrets.ts';
import { renderRecord } from '../table.ts';

export const ROTATE: Verb = {
  usage: 'rotate-master-key',
  about: 'make a new master key and seal every stored key with it; a crash leaves the old one or the new one in force',
  brief: 'seal every stored key with a new master key',
  options: [{ flags: '--forget-old', about: 'do not keep the old key behind the new one; keys in earlier backups can then not be read' }],
  examples: ['findtoken rotate-master-key --yes'],
  run: rotate,
};

async function rotate({ context, given }: Call): Promise<void> {
  const forgetOld = given.flag('forget-old');
  const [{ rotateMasterKey }, { lockRotation }] = await Promise.all([import('../../accounts/index.ts'), import('../../ledger/index.ts')]);
  const changed = await context.write(async (books) => {
    const lock = lockRotation(books.settings.database.path);
    try {
      const vault = await openVaultOf(context, books);
      const loss = forgetOld ? ' Keys in earlier backups can then not be read any more.' : '';
      await confirm(context, `Change the master key in the ${vault.source}?${loss}`);
      return { ...(await rotateMasterKey({ ...books, vault }, { forgetOld })), source: vault.source, before: vault.fingerprint };
    } finally {
      lock.release();
    }
  });
  const { source, fingerprint, before, resealed } = changed;
  context.show({ object: 'master_key_rotation', source, fingerprint, fingerprint_before: before, resealed }, () =>
    renderRecord([['source', source], ['fingerprint', fingerprint], ['before', before], ['resealed', String(resealed)]], context.terminal));
  context.terminal.note(`Back up the ${source} apart from the database.`);
}
