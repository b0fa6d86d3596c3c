import * as fs from 'node:fs';
import * as path from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import type { Binding, Keyring, OpenVault, Vault } from '../src/vault/index.ts';
import { hashKey, mask, mintId, mintKey, openVault, readApiKey, Secret, VaultError } from '../src/vault/index.ts';

const KEY_A = Buffer.alloc(32, 0xa1).toString('base64');
const KEY_B = Buffer.alloc(32, 0xb2).toString('hex');
const ROW: Binding = { table: 'byok', rowId: 'byok_1', accountId: 'acc_1', provider: 'deepseek' };
const SECRET = 'sk-provider-canary-0123456789abcdef';

/** A keychain in memory, that breaks in every way one asks for. */
class FakeKeyring implements Keyring {
  readonly kept = new Map<string, string>();
  readonly #failure: (secret: string) => Error | undefined;
  constructor(failure: (secret: string) => Error | undefined = () => undefined) {
    this.#failure = failure;
  }
  async getPassword(service: string, account: string): Promise<string | null> {
    const failure = this.#failure('');
    if (failure !== undefined) throw failure;
    return this.kept.get(`${service} ${account}`) ?? null;
  }
  async setPassword(service: string, account: string, password: string): Promise<void> {
    const failure = this.#failure(password);
    if (failure !== undefined) throw failure;
    this.kept.set(`${service} ${account}`, password);
  }
}

const NO_KEYCHAIN = new FakeKeyring(() => new Error('Cannot autolaunch D-Bus without X11 $DISPLAY'));

/** One installation: its folders, its notes, its sealed rows as the ledger would keep them. */
class Installation {
  readonly home: string;
  readonly notes = new Map<string, string>();
  readonly rows = new Map<string, Uint8Array>();
  readonly keyFile: string;
  constructor(folder: string) {
    this.home = folder;
    this.keyFile = path.join(folder, '.config', 'findtoken', 'master.key');
  }
  open(more: Partial<OpenVault> = {}): Promise<Vault> {
    return openVault({
      source: { kind: 'auto' }, env: {}, home: this.home, databasePath: path.join(this.home, 'data', 'findtoken.db'), keyring: NO_KEYCHAIN,
      notes: { get: async (name) => this.notes.get(name), set: async (name, value) => void this.notes.set(name, value), once: async (name, value) => this.notes.get(name) ?? (this.notes.set(name, value), value) },
      sealedRowsExist: async () => this.rows.size > 0,
      ...more,
    });
  }
  seal(vault: Vault, rowId: string, secret: string): void {
    this.rows.set(rowId, vault.seal(secret, { ...ROW, rowId }));
  }
  read(vault: Vault): Record<string, string> {
    return Object.fromEntries([...this.rows].map(([rowId, sealed]) => [rowId, vault.unseal(sealed, { ...ROW, rowId })]));
  }
  /** The ledger's `resealAll`: every row and the notes, or nothing. */
  resealAll(from: Vault, to: Vault, notes: Readonly<Record<string, string>>): void {
    const fresh = [...this.rows].map(([rowId, sealed]) => [rowId, to.seal(from.unseal(sealed, { ...ROW, rowId }), { ...ROW, rowId })] as const);
    for (const [rowId, sealed] of fresh) this.rows.set(rowId, sealed);
    for (const [name, value] of Object.entries(notes)) this.notes.set(name, value);
  }
}

/** The refusal of a promise, and that its words keep every secret. */
async function refusal(work: Promise<unknown>): Promise<VaultError> {
  const thrown: unknown = await work.then(() => undefined, (error: unknown) => error);
  if (!(thrown instanceof VaultError)) throw new Error(`expected a refusal of the vault, got ${String(thrown)}`);
  for (const secret of [KEY_A, KEY_B, SECRET]) if (thrown.message.includes(secret)) throw new Error('the refusal tells a secret');
  return thrown;
}

const refused = (work: () => unknown): Promise<VaultError> => refusal(new Promise((resolve) => resolve(work())));

t.test('API keys: minted, read from a header, hashed', async (t) => {
  const { key, hash, last4 } = mintKey();
  t.match(key, /^sk-ft_[0-9a-f]{64}$/);
  t.equal(key.length, 70);
  t.equal(last4, key.slice(-4));
  t.same(Buffer.from(hash), Buffer.from(hashKey(key)));
  t.not(mintKey().key, key);
  t.equal(Buffer.from(hashKey('abc')).toString('hex'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 'SHA-256 of the published test vector');

  const cases = [
    [`Bearer ${key}`, key, 'the form of OpenAI'],
    [`bearer   ${key}`, key, "the scheme's case and spaces do not matter"],
    [key, key, 'bare, as x-api-key has it'],
    [` ${key} `, key, 'spaces around it'],
    [`Bearer ${key.toUpperCase()}`, undefined, "the key's case does"],
    [`Bearer ${key}0`, undefined, 'too long'],
    [`Bearer ${key.slice(0, -1)}`, undefined, 'too short'],
    [`Bearer ${key} ${key}`, undefined, 'two'],
    [`Basic ${key}`, undefined, 'another scheme'],
    [`Bearer Bearer ${key}`, undefined, 'the scheme twice'],
    [`Bearer sk-${'a'.repeat(67)}`, undefined, "another service's key"],
    [`Bearer ${key}\n`, key, 'a line end is white space'],
    ['Bearer', undefined, 'nothing behind it'],
    ['', undefined, 'empty'],
    [undefined, undefined, 'no header'],
  ] as const;
  for (const [header, read, why] of cases) t.equal(readApiKey(header), read, why);
});

t.test('ids sort by the time they were made at', async (t) => {
  const times = [0, 1, 31, 32, 1_023, 1_024, 1_700_000_000_000, 1_700_000_000_001, 4_000_000_000_000, 2 ** 50 - 1];
  const made = times.map((nowMs) => mintId('req', nowMs));
  t.same(made.toSorted(), made);
  t.ok(made.every((id) => /^req_[0-9a-hjkmnp-tv-z]{26}$/.test(id)), '10 characters of time, 16 of chance');
  t.match(mintId('byok', 0), /^byok_0000000000/);
  t.equal(new Set(Array.from({ length: 10_000 }, () => mintId('k', 5))).size, 10_000, 'unique within a millisecond');
  for (const nowMs of [-1, 0.5, Number.NaN, 2 ** 50]) t.throws(() => mintId('k', nowMs), RangeError, `no time: ${nowMs}`);
});

t.test('what is shown of a secret', async (t) => {
  t.equal(mask('sk-abcdefghij1234'), 'sk-…1234');
  t.equal(mask('abcdefabcdef.abcdef5678'), '…5678', 'keys of another form');
  t.equal(mask('sk-abc-1234'), '…', 'four characters of eleven would be too much');
  t.equal(mask(''), '…');

  const secret = new Secret(SECRET);
  t.equal(secret.reveal(), SECRET);
  for (const shown of [String(secret), JSON.stringify({ secret }), inspect({ secret }, { showHidden: true, depth: 9 }), [secret].join()]) {
    t.notMatch(shown, /canary/);
    t.match(shown, /\[secret\]/);
  }
});

t.test('an envelope opens under its own binding only', async (t) => {
  const vault = await new Installation(t.testdir()).open();
  const sealed = vault.seal(SECRET, ROW);
  t.equal(vault.unseal(sealed, ROW), SECRET);
  t.equal(sealed.length, 33 + SECRET.length);
  t.equal(sealed[0], 1, 'format 1');
  t.equal(Buffer.from(sealed.subarray(1, 5)).toString('hex'), vault.fingerprint.slice(0, 8), 'the kid begins the fingerprint');
  t.notSame(vault.seal(SECRET, ROW), sealed, 'a new nonce each time');
  t.equal(vault.unseal(vault.seal('', ROW), ROW), '', 'an empty secret');
  t.equal(vault.unseal(vault.seal('schlüssel 钥匙', ROW), ROW), 'schlüssel 钥匙');
  const pooled = Buffer.concat([Buffer.alloc(7), sealed, Buffer.alloc(9)]).subarray(7, 7 + sealed.length);
  t.equal(vault.unseal(pooled, ROW), SECRET, 'bytes in the middle of a buffer, as a database gives them');

  const strangers: readonly (readonly [Partial<Binding>, string])[] = [
    [{ rowId: 'byok_2' }, 'two rows swapped'],
    [{ accountId: 'acc_2' }, 'given to another account'],
    [{ provider: 'kimi' }, 'sent to another provider'],
    [{ table: 'provider' }, "passed off as the operator's"],
    [{ rowId: 'byok_1acc_1', accountId: '' }, 'the same letters, parted elsewhere'],
  ];
  for (const [other, why] of strangers) t.equal((await refused(() => vault.unseal(sealed, { ...ROW, ...other }))).reason, 'damaged', why);

  for (let at = 0; at < sealed.length; at += 1) {
    const flipped = Uint8Array.from(sealed, (byte, index) => (index === at ? byte ^ 0x01 : byte));
    const { reason } = await refused(() => vault.unseal(flipped, ROW));
    t.equal(reason, at >= 1 && at <= 4 ? 'wrong_key' : 'damaged', `a flipped bit in byte ${at}`);
  }
  for (const length of [0, 1, 16, 32, sealed.length - 12, sealed.length - 1]) {
    t.equal((await refused(() => vault.unseal(sealed.subarray(0, length), ROW))).reason, 'damaged', `cut to ${length} bytes`);
  }
  t.equal((await refused(() => vault.unseal(Buffer.concat([sealed, Buffer.of(0)]), ROW))).reason, 'damaged', 'a byte too many');
});

t.test('what earlier versions sealed still opens', async (t) => {
  const here = new Installation(t.testdir());
  here.notes.set('install_id', '3f0e6f6e-0000-4000-8000-000000000001');
  const vault = await here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_A } });
  t.equal(vault.fingerprint, '531daef1867e4a58', 'the fingerprint that databases have recorded');
  const sealed = '01531daef189239e35c530929720237c48551e4057d28acc7541139efb441024e60715db21c12a6090d0ef2f771ee2840f627f872d832d8aaa0c8ed25ddb688f57be09d7';
  t.equal(vault.unseal(Buffer.from(sealed, 'hex'), ROW), SECRET);
});

t.test('one master key in two installations seals apart', async (t) => {
  const folder = t.testdir({ one: {}, two: {} });
  const env = { FINDTOKEN_MASTER_KEY: KEY_A };
  const one = await new Installation(path.join(folder, 'one')).open({ env });
  const two = await new Installation(path.join(folder, 'two')).open({ env });
  t.equal(one.fingerprint, two.fingerprint);
  t.equal((await refused(() => two.unseal(one.seal(SECRET, ROW), ROW))).reason, 'damaged');
});

t.test('the first master key: environment, else keychain, else a file; recorded', async (t) => {
  t.test('the environment variable, where it is set', async (t) => {
    const here = new Installation(t.testdir());
    const keyring = new FakeKeyring();
    const vault = await here.open({ env: { FINDTOKEN_MASTER_KEY: ` ${KEY_A}\n` }, keyring });
    t.equal(vault.source, 'environment variable FINDTOKEN_MASTER_KEY');
    t.equal(here.notes.get('master_key'), `${vault.fingerprint} env:FINDTOKEN_MASTER_KEY`);
    t.equal(keyring.kept.size, 0);
    t.notOk(fs.existsSync(here.keyFile));
  });

  t.test('else the keychain', async (t) => {
    const here = new Installation(t.testdir());
    const keyring = new FakeKeyring();
    const vault = await here.open({ keyring });
    t.equal(vault.source, 'keychain');
    t.same(vault.notices, []);
    t.equal(here.notes.get('master_key'), `${vault.fingerprint} keychain`);
    t.same([...keyring.kept.keys()], [`findtoken master-key:${here.notes.get('install_id')}`], 'one entry for each installation');
    t.notOk(fs.existsSync(here.keyFile));
    here.seal(vault, 'r1', SECRET);
    t.same(here.read(await here.open({ keyring })), { r1: SECRET }, 'the next process reads the same key');
  });

  t.test('else a file of its own, and a notice that says so', async (t) => {
    const here = new Installation(t.testdir());
    const vault = await here.open();
    t.equal(vault.source, 'file ~/.config/findtoken/master.key');
    t.match(vault.notices.join(), /D-Bus.*file ~\/\.config\/findtoken\/master\.key.*apart from the database/);
    t.equal(here.notes.get('master_key'), `${vault.fingerprint} file:${here.keyFile}`);
    t.equal(fs.statSync(here.keyFile).mode & 0o777, 0o600);
    t.equal(fs.statSync(path.dirname(here.keyFile)).mode & 0o777, 0o700);
    t.same(fs.readdirSync(path.dirname(here.keyFile)), ['master.key'], 'nothing is left beside it');
    here.seal(vault, 'r1', SECRET);
    const again = await here.open();
    t.same(here.read(again), { r1: SECRET });
    t.same(again.notices, [], 'said once');
  });

  t.test('XDG_CONFIG_HOME is honoured', async (t) => {
    const here = new Installation(t.testdir());
    const vault = await here.open({ xdgConfigHome: path.join(here.home, 'xdg') });
    t.equal(vault.source, 'file ~/xdg/findtoken/master.key');
  });
  for (const xdgConfigHome of ['', 'here']) {
    t.test(`XDG_CONFIG_HOME=${xdgConfigHome} says nothing, as the XDG rules have it`, async (t) => {
      const here = new Installation(t.testdir());
      t.equal((await here.open({ xdgConfigHome })).source, 'file ~/.config/findtoken/master.key', 'and not the folder where one happens to be');
    });
  }
});

t.test('a keychain that fails in any way leaves auto with the file, and a configured keychain with an error', async (t) => {
  const coded = (code: string): Error => Object.assign(new Error('…'), { code });
  const ways: readonly (readonly [string, (secret: string) => Error | undefined, RegExp])[] = [
    ['no session bus', () => new Error('Cannot autolaunch D-Bus without X11 $DISPLAY'), /Cannot autolaunch D-Bus/],
    ['no Secret Service', () => new Error('The name org.freedesktop.secrets was not provided by any .service files'), /not provided/],
    ['keytar is not installed', () => coded('ERR_MODULE_NOT_FOUND'), /keytar is not installed/],
    ['its library does not load', () => coded('ERR_DLOPEN_FAILED'), /needs libsecret/],
    ['it can be read but is locked', (secret) => (secret === '' ? undefined : new Error('Cannot create an item in a locked collection')), /locked collection/],
    ['its error repeats the secret', (secret) => (secret === '' ? undefined : new Error(`cannot keep ${secret}`)), /cannot keep …/],
    ['its error says nothing', () => new Error(''), /it failed/],
  ];
  for (const [name, failure, why] of ways) {
    t.test(name, async (t) => {
      const keyring = new FakeKeyring(failure);
      const here = new Installation(t.testdir());
      const vault = await here.open({ keyring });
      t.match(vault.source, /^file /);
      t.match(vault.notices.join(), why);
      t.notOk(vault.notices.join().includes(fs.readFileSync(here.keyFile, 'utf8').trim()));

      const strict = new Installation(path.join(here.home, 'strict'));
      const error = await refusal(strict.open({ keyring, source: { kind: 'keychain' } }));
      t.equal(error.reason, 'keychain_unreachable');
      t.match(error.message, why);
      t.match(error.message, /secrets\.master_key/, 'the mend');
      t.equal(strict.notes.get('master_key'), undefined, 'nothing is recorded');
    });
  }

  t.test('it forgets what was put there', async (t) => {
    const keyring = new FakeKeyring();
    keyring.setPassword = async () => undefined;
    const vault = await new Installation(t.testdir()).open({ keyring });
    t.match(vault.source, /^file /);
    t.match(vault.notices.join(), /did not keep/);
  });

  t.test('a recorded keychain that is gone is an error for auto too, and never a new key', async (t) => {
    const here = new Installation(t.testdir());
    const keyring = new FakeKeyring();
    const vault = await here.open({ keyring });
    here.seal(vault, 'r1', SECRET);
    t.equal((await refusal(here.open({ keyring: NO_KEYCHAIN }))).reason, 'keychain_unreachable');
    t.equal((await refusal(here.open({ keyring: new FakeKeyring() }))).reason, 'missing_key', 'an empty keychain');
    t.notOk(fs.existsSync(here.keyFile));
    t.same(here.read(await here.open({ keyring })), { r1: SECRET }, 'and when it is back, so is everything');
  });
});

t.test('a recorded choice never changes silently', async (t) => {
  t.test('a variable that appears later does not take over', async (t) => {
    const here = new Installation(t.testdir());
    const { fingerprint } = await here.open();
    t.equal((await here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_A } })).fingerprint, fingerprint);
    t.equal((await here.open({ keyring: new FakeKeyring() })).fingerprint, fingerprint, 'neither does a keychain');
  });

  t.test('another key in the recorded place is refused while anything is sealed', async (t) => {
    const here = new Installation(t.testdir());
    const vault = await here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_A } });
    here.seal(vault, 'r1', SECRET);
    const error = await refusal(here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_B } }));
    t.equal(error.reason, 'wrong_key');
    t.match(error.message, vault.fingerprint, 'says which key is wanted');
    t.equal((await refusal(here.open())).reason, 'missing_key', 'as is none');
    t.equal((await refusal(here.open({ source: { kind: 'file', path: here.keyFile } }))).reason, 'missing_key', 'a new place does not bring a new key');
    t.notOk(fs.existsSync(here.keyFile));
  });

  t.test('the same key in another place is taken from there, and said', async (t) => {
    const here = new Installation(t.testdir({ etc: {} }));
    const vault = await here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_A } });
    here.seal(vault, 'r1', SECRET);
    const file = path.join(here.home, 'etc', 'key');
    fs.writeFileSync(file, `# made by hand\n${KEY_A}\n`, { mode: 0o400 });
    const moved = await here.open({ source: { kind: 'file', path: file } });
    t.match(moved.notices.join(), /now taken from the file ~\/etc\/key/);
    t.same(here.read(moved), { r1: SECRET });
    t.equal(here.notes.get('master_key'), `${vault.fingerprint} file:${file}`);
  });

  t.test('where nothing is sealed another key may come, and it is said', async (t) => {
    const here = new Installation(t.testdir());
    await here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_A } });
    const other = await here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_B } });
    t.match(other.notices.join(), /nothing was sealed/);
    t.match(here.notes.get('master_key'), other.fingerprint);
  });

  t.test('sealed rows without a record: no new key, and a key that is there is not recorded on a guess', async (t) => {
    const here = new Installation(t.testdir());
    here.rows.set('r1', new Uint8Array(40));
    t.equal((await refusal(here.open())).reason, 'missing_key');
    t.equal((await refusal(here.open({ keyring: new FakeKeyring() }))).reason, 'missing_key');
    t.equal((await refusal(here.open({ source: { kind: 'keychain' }, keyring: new FakeKeyring() }))).reason, 'missing_key');
    t.ok(await here.open({ env: { FINDTOKEN_MASTER_KEY: KEY_A } }));
    t.equal(here.notes.get('master_key'), undefined);
  });

  t.test('an unreadable record is refused', async (t) => {
    const here = new Installation(t.testdir());
    here.notes.set('master_key', 'yes');
    t.equal((await refusal(here.open())).reason, 'bad_record');
  });
});

t.test('a variable: what it may hold', async (t) => {
  const here = new Installation(t.testdir());
  const source = { kind: 'env', name: 'MY_KEY' } as const;
  const a = await here.open({ source, env: { MY_KEY: Buffer.from(KEY_B, 'hex').toString('base64') } });
  t.equal((await here.open({ source, env: { MY_KEY: KEY_B } })).fingerprint, a.fingerprint, 'base64 and hex of the same bytes are the same key');
  for (const bad of ['hunter2', `${KEY_B}00`, KEY_B.slice(2), 'z'.repeat(64), `${KEY_A}=`]) {
    const error = await refusal(here.open({ source, env: { MY_KEY: bad } }));
    t.equal(error.reason, 'malformed_key', `${bad.length} characters`);
    t.notOk(error.message.includes(bad), 'not repeated');
    t.match(error.message, /MY_KEY.*openssl rand -base64 32/, 'names the place and the mend');
  }
  const error = await refusal(new Installation(path.join(here.home, 'new')).open({ source, env: {} }));
  t.equal(error.reason, 'missing_key');
  t.match(error.message, /export MY_KEY=/);
});

t.test('a key file that is not safe is refused', async (t) => {
  const folder = t.testdir({ etc: {}, data: {} });
  const file = path.join(folder, 'etc', 'master.key');
  const source = { kind: 'file', path: file } as const;
  const open = (): Promise<Vault> => new Installation(folder).open({ source });
  const write = (text: string, mode: number): void => {
    fs.rmSync(file, { recursive: true, force: true });
    fs.writeFileSync(file, text);
    fs.chmodSync(file, mode);
  };

  for (const mode of [0o644, 0o640, 0o604, 0o610, 0o666]) {
    write(`${KEY_A}\n`, mode);
    const error = await refusal(open());
    t.equal(error.reason, 'file_too_open', `mode ${mode.toString(8)}`);
    t.match(error.message, `chmod 600 ${file}`);
  }
  for (const mode of [0o600, 0o400]) {
    write(`${KEY_A}\n`, mode);
    t.ok(await open(), `mode ${mode.toString(8)} is`);
  }
  write('', 0o600);
  t.equal((await refusal(open())).reason, 'malformed_key', 'an empty file is no invitation to make a key');
  write('not a key', 0o600);
  t.equal((await refusal(open())).reason, 'malformed_key');
  write('#'.repeat(20_000), 0o600);
  t.equal((await refusal(open())).reason, 'malformed_key', 'a large file');
  fs.rmSync(file);
  fs.mkdirSync(file, { mode: 0o700 });
  t.equal((await refusal(open())).reason, 'malformed_key', 'a folder');
  fs.rmdirSync(file);

  const beneath = await refusal(new Installation(folder).open({ source: { kind: 'file', path: path.join(folder, 'etc', 'x', '\0') } }));
  t.equal(beneath.reason, 'file_unusable', 'a name that no file can have');

  t.test('of another user', { skip: process.getuid?.() === 0 ? false : 'only root can give a file away' }, async (t) => {
    write(`${KEY_A}\n`, 0o600);
    fs.chownSync(file, 65_534, 65_534);
    const error = await refusal(open());
    t.equal(error.reason, 'file_too_open');
    t.match(error.message, /belongs to another user \(65534\)/);
  });
});

t.test('the key file never lies with the database', async (t) => {
  const home = t.testdir({ data: { deep: {} }, 'data-2': {}, '.config': {} });
  fs.symlinkSync(path.join(home, 'data'), path.join(home, 'link'));
  const at = (file: string, databasePath = path.join(home, 'data', 'findtoken.db')): Promise<Vault> =>
    new Installation(home).open({ source: { kind: 'file', path: path.join(home, file) }, databasePath });

  for (const [file, why] of [['data/key', 'beside it'], ['data/deep/key', 'below it'], ['data/new/er/key', 'in a folder yet to be made'], ['link/key', 'by a link']] as const) {
    const error = await refusal(at(file));
    t.equal(error.reason, 'bad_place', why);
    t.match(error.message, /secrets\.master_key/);
  }
  t.ok(await at('data-2/key'), 'a name that only begins alike is another folder');
  t.ok(await at('.config/key', path.join(home, 'findtoken.db')), 'a database right in the home folder does not claim all of it');
  t.equal((await refusal(at('key', path.join(home, 'findtoken.db')))).reason, 'bad_place', 'but its own folder');
  const inConfig = new Installation(home).open({ databasePath: path.join(home, '.config', 'findtoken', 'findtoken.db') });
  t.equal((await refusal(inConfig)).reason, 'bad_place', 'auto keeps to it as well');
});

t.test('two processes that open a new installation together agree on one key', async (t) => {
  const here = new Installation(t.testdir());
  // Nobody has noted an installation yet: whoever comes first does, and all take that one.
  const vaults = await Promise.all(Array.from({ length: 8 }, () => here.open()));
  t.equal(new Set(vaults.map((vault) => vault.fingerprint)).size, 1);
  const [first, ...others] = vaults;
  const sealed = first?.seal('sk-1234', { ...ROW, rowId: 'r' }) ?? new Uint8Array();
  for (const vault of others) t.equal(vault.unseal(sealed, { ...ROW, rowId: 'r' }), 'sk-1234', 'and opens what another sealed');
  t.same(fs.readdirSync(path.dirname(here.keyFile)), ['master.key']);
});

t.test('a rotation survives a crash after any of its steps', async (t) => {
  const places: readonly (readonly [string, () => Partial<OpenVault>])[] = [
    ['file', () => ({})],
    ['keychain', () => ({ keyring: new FakeKeyring() })],
    ['environment', () => ({ env: { FINDTOKEN_MASTER_KEY: KEY_A } })],
  ];
  for (const [name, optionsOf] of places) {
    for (const crashAfter of ['nothing', 'staging', 'the transaction', 'the commit'] as const) {
      t.test(`${name}, crash after ${crashAfter}`, async (t) => {
        const here = new Installation(t.testdir());
        const options = optionsOf();
        const old = await here.open(options);
        here.seal(old, 'r1', SECRET);
        here.seal(old, 'r2', 'another');
        const wide = name === 'environment' ? { env: { FINDTOKEN_MASTER_KEY: `${KEY_A},${KEY_B}` } } : options;
        const steps = async (): Promise<string> => {
          const vault = await here.open(wide);
          if (crashAfter === 'nothing') return old.fingerprint;
          const rotation = await vault.rotate();
          if (crashAfter === 'staging') return old.fingerprint;
          here.resealAll(vault, rotation.vault, rotation.notes);
          if (crashAfter === 'the commit') await rotation.commit();
          return rotation.vault.fingerprint;
        };
        const expected = await steps();
        const after = await here.open(wide);
        t.equal(after.fingerprint, expected, 'the record decides');
        t.equal(after.fingerprint === old.fingerprint, crashAfter === 'nothing' || crashAfter === 'staging');
        t.same(here.read(after), { r1: SECRET, r2: 'another' });

        const rows = new Map(here.rows);
        const second = await after.rotate();
        here.resealAll(after, second.vault, second.notes);
        await second.commit();
        const last = await here.open(wide);
        t.equal(last.fingerprint, second.vault.fingerprint, 'and it can be done again');
        t.same(here.read(last), { r1: SECRET, r2: 'another' });
        t.equal(last.unseal(rows.get('r1') ?? new Uint8Array(), { ...ROW, rowId: 'r1' }), SECRET, 'rows of before, as a daemon that was running may write them, still open');
      });
    }
  }
});

t.test('a rotation: its refusals, and the old key', async (t) => {
  const turn = async (here: Installation, vault: Vault, forgetOld: boolean): Promise<Vault> => {
    const rotation = await vault.rotate();
    here.resealAll(vault, rotation.vault, rotation.notes);
    await rotation.commit({ forgetOld });
    return here.open();
  };

  t.test('a backup made before still opens, unless the old key was forgotten', async (t) => {
    const here = new Installation(t.testdir());
    const first = await here.open();
    here.seal(first, 'r1', SECRET);
    const backup = { rows: new Map(here.rows), notes: new Map(here.notes) };
    const restored = new Installation(here.home);
    for (const [name, value] of backup.notes) restored.notes.set(name, value);
    for (const [name, value] of backup.rows) restored.rows.set(name, value);

    const second = await turn(here, first, false);
    t.equal(fs.readFileSync(here.keyFile, 'utf8').trim().split('\n').length, 2);
    t.same(restored.read(await restored.open()), { r1: SECRET });

    await turn(here, second, true);
    t.equal(fs.readFileSync(here.keyFile, 'utf8').trim().split('\n').length, 1);
    t.equal(fs.statSync(here.keyFile).mode & 0o777, 0o600);
    t.equal((await refusal(restored.open())).reason, 'wrong_key');
  });

  t.test('an early commit is refused and loses nothing', async (t) => {
    const here = new Installation(t.testdir());
    const vault = await here.open();
    here.seal(vault, 'r1', SECRET);
    const rotation = await vault.rotate();
    t.equal((await refusal(rotation.commit({ forgetOld: true }))).reason, 'rotation');
    t.same(here.read(await here.open()), { r1: SECRET });
  });

  t.test('a vault whose key was changed by another meanwhile writes nothing', async (t) => {
    const here = new Installation(t.testdir());
    const [stale, vault] = [await here.open(), await here.open()];
    const rotation = await vault.rotate();
    for (const [name, value] of Object.entries(rotation.notes)) here.notes.set(name, value);
    await rotation.commit({ forgetOld: true });
    const kept = fs.readFileSync(here.keyFile, 'utf8');
    t.match(await refusal(stale.rotate()), { reason: 'rotation', message: /changed by another command meanwhile/ });
    t.equal(fs.readFileSync(here.keyFile, 'utf8'), kept);
  });

  t.test('a variable needs the second key in it', async (t) => {
    const vault = await new Installation(t.testdir()).open({ env: { FINDTOKEN_MASTER_KEY: KEY_A } });
    const error = await refusal(vault.rotate());
    t.equal(error.reason, 'rotation');
    t.match(error.message, /the old key, a comma and a new key/);
  });

  t.test('a place that lost the key in force is refused', async (t) => {
    const here = new Installation(t.testdir());
    const vault = await here.open();
    fs.writeFileSync(here.keyFile, `${KEY_A}\n`, { mode: 0o600 });
    t.equal((await refusal(vault.rotate())).reason, 'rotation');
  });

  t.test('after many rotations the key in force and the latest retired ones are kept', async (t) => {
    const here = new Installation(t.testdir());
    let vault = await here.open();
    here.seal(vault, 'r1', SECRET);
    for (let turns = 0; turns < 12; turns += 1) vault = await turn(here, vault, false);
    t.same(here.read(vault), { r1: SECRET });
    t.equal(fs.readFileSync(here.keyFile, 'utf8').trim().split('\n').length, 8);
  });
});
