import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { forkMember } from '../src/crew/index.ts';
import type { ToPrimary, ToServing } from '../src/daemon/talk.ts';
import { openLedger } from '../src/ledger/index.ts';
import { loadSettings } from '../src/settings/index.ts';
import { noScript } from './support/program.ts';

t.test('settings that come while a process is being built are those that it serves with', { timeout: 60_000, skip: noScript() }, async (t) => {
  const home = t.testdir({});
  const database = { path: join(home, 'findtoken.db') };
  await (await openLedger({ path: database.path, as: 'daemon' })).close();
  const read = loadSettings({ env: {}, cwd: home, home });
  const before = { ...read, server: { ...read.server, port: 0, workers: 2 }, database: { ...read.database, ...database } };
  const script = process.argv[1];
  process.argv[1] = fileURLToPath(new URL('../bin/findtoken.js', import.meta.url));
  const forked = forkMember<ToServing>({ HOME: home, PATH: process.env['PATH'] });
  process.argv[1] = script ?? '';
  const member = await forked;
  t.teardown(() => member.kill());
  const port = await new Promise<number>((resolve, reject) => {
    member.link.serve<Pick<ToPrimary, 'sit' | 'listening' | 'unable' | 'arrived' | 'parted' | 'beat'>>({
      sit: () => undefined, arrived: () => undefined, parted: () => undefined, beat: () => undefined,
      listening: resolve,
      unable: ({ message }) => reject(new Error(message)),
    });
    void member.ended.then(({ code, signal }) => reject(new Error(`it ended with ${code ?? signal}`)));
    member.link.tell('begin', { no: 1, of: 2, settings: before, host: '127.0.0.1', port: 0, version: '0.0.0-test' });
    member.link.tell('reload', { ...before, registration: { ...before.registration, open: true } });
  });
  const signUp = await fetch(`http://127.0.0.1:${port}/v1/auth/register`, { method: 'POST', body: 'text' });
  t.equal(signUp.status, 415, 'registration is open now, and says what it takes; closed it would be 404');
  await signUp.text();
  member.link.tell('stop', undefined);
  t.match(await member.ended, { code: 0 });
});

t.test('a process that cannot be started is told as that, and ends nobody', async (t) => {
  const { execPath } = process;
  // As where an upgrade has taken the program away, or there is no file descriptor left: the system tells it by an event as well.
  process.execPath = join(t.testdir({}), 'node');
  const forked = forkMember<ToServing>({});
  process.execPath = execPath;
  await t.rejects(forked, { code: 'ENOENT' });
});
