import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { packageVersion } from '../src/cli/version.ts';
import { forkMember, type Member } from '../src/crew/index.ts';
import { CLOCK } from '../src/daemon/clock.ts';
import { openCrew } from '../src/daemon/crew.ts';
import { liveSettings } from '../src/daemon/live-settings.ts';
import { openLog } from '../src/daemon/log.ts';
import type { ToPrimary, ToServing } from '../src/daemon/talk.ts';
import { openLedger } from '../src/ledger/index.ts';
import { loadSettings } from '../src/settings/index.ts';
import type { Settings } from '../src/settings/index.ts';
import { noScript } from './support/program.ts';

/** A process of the built program, its settings, and its word that it listens at a port, or why not. */
async function forked(t: Test): Promise<{ readonly member: Member<ToServing>; readonly settings: Settings; readonly listening: Promise<number> }> {
  const home = t.testdir({});
  const database = { path: join(home, 'findtoken.db') };
  await (await openLedger({ path: database.path, as: 'daemon' })).close();
  const read = loadSettings({ env: {}, cwd: home, home });
  const script = process.argv[1];
  process.argv[1] = fileURLToPath(new URL('../bin/findtoken.js', import.meta.url));
  const started = forkMember<ToServing>({ HOME: home, PATH: process.env['PATH'] });
  process.argv[1] = script ?? '';
  const member = await started;
  t.teardown(() => member.kill());
  const listening = new Promise<number>((resolve, reject) => {
    member.link.serve<Pick<ToPrimary, 'sit' | 'listening' | 'unable' | 'arrived' | 'parted' | 'beat'>>({
      sit: () => undefined, arrived: () => undefined, parted: () => undefined, beat: () => undefined,
      listening: resolve,
      unable: ({ message }) => reject(new Error(message)),
    });
    void member.ended.then(({ code, signal }) => reject(new Error(`it ended with ${code ?? signal}`)));
  });
  return { member, listening, settings: { ...read, server: { ...read.server, port: 0, workers: 2 }, database: { ...read.database, ...database } } };
}

t.test('settings that come while a process is being built are those that it serves with', { timeout: 60_000, skip: noScript() }, async (t) => {
  const { member, settings: before, listening } = await forked(t);
  member.link.tell('begin', { no: 1, of: 2, settings: before, host: '127.0.0.1', port: 0, version: packageVersion() });
  member.link.tell('reload', { ...before, registration: { ...before.registration, open: true } });
  const signUp = await fetch(`http://127.0.0.1:${await listening}/v1/auth/register`, { method: 'POST', body: 'text' });
  t.equal(signUp.status, 415, 'registration is open now, and says what it takes; closed it would be 404');
  await signUp.text();
  member.link.tell('stop', undefined);
  t.match(await member.ended, { code: 0 });
});

t.test('a process of another version than the daemon does not serve for it', { timeout: 60_000, skip: noScript() }, async (t) => {
  const { member, settings, listening } = await forked(t);
  const refused = t.rejects(listening, { message: /^findtoken \S+ was installed while the daemon runs 0\.0\.0-old: restart the daemon$/ });
  member.link.tell('begin', { no: 1, of: 2, settings, host: '127.0.0.1', port: 0, version: '0.0.0-old' });
  await refused;
  t.match(await member.ended, { code: 70 });
});

t.test('a process that cannot be started is told as that, and ends nobody', async (t) => {
  const { execPath } = process;
  // As where an upgrade has taken the program away, or there is no file descriptor left: the system tells it by an event as well.
  process.execPath = join(t.testdir({}), 'node');
  const forked = forkMember<ToServing>({});
  process.execPath = execPath;
  await t.rejects(forked, { code: 'ENOENT' });
});

t.test('a process that hangs while it starts is ended, and the start of the daemon with it', { timeout: 60_000, skip: noScript() }, async (t) => {
  const home = t.testdir({});
  const hanging = join(home, 'hanging.mjs');
  writeFileSync(hanging, 'setInterval(() => undefined, 1_000);');
  const read = loadSettings({ env: {}, cwd: home, home });
  const settings: Settings = { ...read, server: { ...read.server, port: 0, workers: 2 }, database: { ...read.database, path: join(home, 'findtoken.db') } };
  const ledger = await openLedger({ path: settings.database.path, as: 'daemon' });
  t.teardown(() => ledger.close());
  const log = { ...openLog(settings.log, false), warn: (event: string, detail: object) => void logged.push({ event, ...detail }) };
  const logged: object[] = [];
  const unused = async () => { throw new Error('not in this test'); };
  const script = process.argv[1];
  process.argv[1] = hanging;
  t.teardown(() => (process.argv[1] = script ?? ''));
  const crew = openCrew({ live: liveSettings(settings), ledger, vault: unused, clock: CLOCK, log, version: packageVersion(), env: { PATH: process.env['PATH'] }, lookMs: 20 });
  await t.rejects(crew.listen('127.0.0.1', 0), { message: 'a process to serve did not begin within 60 s' });
  t.match(logged, [{ event: 'worker_does_not_begin', worker: 1, pid: Number, seconds: 60 }]);
  t.same(crew.workers, []);
});
