import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { openVault, VaultError, type Vault } from '../src/vault/index.ts';

/** What a key file's place may do to a master key: nothing that loses it. */

const KEY = 'ab'.repeat(32);
const BYOK = { table: 'byok', rowId: 'byok_1', accountId: 'acct_1', provider: 'kimi' } as const;
const OPERATOR = { table: 'provider', rowId: 'qwen', accountId: '', provider: 'qwen' } as const;

interface Place {
  readonly file: string;
  readonly notes: Map<string, string>;
  open(): Promise<Vault>;
}

/** An installation whose master key lies in this file, for good or ill. Something is sealed there if it says so. */
function placeAt(home: string, file: string, sealed = true): Place {
  const notes = new Map<string, string>();
  const open = (): Promise<Vault> => openVault({
    source: { kind: 'file', path: file }, env: {}, home, databasePath: join(home, 'data', 'findtoken.db'),
    notes: { get: async (name) => notes.get(name), set: async (name, value) => void notes.set(name, value), once: async (name, value) => notes.get(name) ?? (notes.set(name, value), value) },
    sealedRowsExist: async () => sealed,
  });
  return { file, notes, open };
}

async function refusal(work: Promise<unknown>): Promise<VaultError> {
  const thrown: unknown = await work.then(() => undefined, (error: unknown) => error);
  if (!(thrown instanceof VaultError)) throw new Error(`expected a refusal of the vault, got ${String(thrown)}`);
  return thrown;
}

t.test('a place that takes no new file ends a rotation before anything is sealed anew', async (t) => {
  const home = t.testdir({ keys: {} });
  // As long as a name may be: the new file beside it has a longer one, which no file system of ours takes, not even from root.
  const place = placeAt(home, join(home, 'keys', 'k'.repeat(250)));
  writeFileSync(place.file, `${KEY}\n`, { mode: 0o600 });
  const vault = await place.open();
  const noted = new Map(place.notes);
  const sealed = vault.seal('sk-1234', BYOK);
  t.match(await refusal(vault.rotate()), { reason: 'file_unusable', message: /cannot be written: .*secrets\.master_key/ });
  t.equal(readFileSync(place.file, 'utf8'), `${KEY}\n`);
  t.same(place.notes, noted, 'the record names the key that is there');
  t.same(readdirSync(dirname(place.file)), ['k'.repeat(250)], 'and no half-written file lies beside it');
  t.equal((await place.open()).unseal(sealed, BYOK), 'sk-1234');
});

t.test('a first key that cannot be written is told as that, and nothing is recorded', async (t) => {
  const home = t.testdir({ keys: {} });
  const place = placeAt(home, join(home, 'keys', 'k'.repeat(250)), false);
  t.match(await refusal(place.open()), { reason: 'file_unusable', message: /cannot be written/ });
  t.notOk(place.notes.has('master_key'));
  t.same(readdirSync(dirname(place.file)), []);
});

t.test('a file that is there and cannot be read is no missing key', async (t) => {
  const home = t.testdir({ keys: 'a file where a folder should be' });
  t.match(await refusal(placeAt(home, join(home, 'keys', 'master.key')).open()), { reason: 'file_unusable', message: /cannot be read: .*Mend its rights/ });
});

t.test('a folder that is yet to be made lies where its links lead', async (t) => {
  const home = t.testdir({ data: {}, safe: {} });
  symlinkSync(join(home, 'data'), join(home, 'to-data'));
  symlinkSync(join(home, 'safe'), join(home, 'to-safe'));
  t.equal((await refusal(placeAt(home, join(home, 'to-data', 'new', 'er', 'master.key'), false).open())).reason, 'bad_place');
  t.ok(await placeAt(home, join(home, 'to-safe', 'new', 'er', 'master.key'), false).open());
  t.same(readdirSync(join(home, 'safe', 'new', 'er')), ['master.key']);
});

t.test('what does not open says whose it is', async (t) => {
  const home = t.testdir({ keys: {} });
  mkdirSync(join(home, 'other'));
  const vault = await placeAt(home, join(home, 'keys', 'master.key'), false).open();
  const other = await placeAt(home, join(home, 'other', 'master.key'), false).open();
  const open = (by: Vault, sealed: Uint8Array, binding: Parameters<Vault['unseal']>[1]) => refusal(new Promise((resolve) => resolve(by.unseal(sealed, binding))));
  t.match(await open(vault, vault.seal('sk-1', BYOK), OPERATOR), { reason: 'damaged', message: /^The operator's key for qwen does not open/ });
  t.match(await open(vault, vault.seal('sk-1', OPERATOR), BYOK), { reason: 'damaged', message: /^The BYOK key byok_1 does not open/ });
  t.match(await open(other, vault.seal('sk-1', OPERATOR), OPERATOR), { reason: 'wrong_key', message: /^The operator's key for qwen was sealed with another master key/ });
});
