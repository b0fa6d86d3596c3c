import { createServer, type AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import t, { type Test } from 'tap';
import { createAccount, createPendingAccount, grantCredits, mailView, runDailyJobs, sendDueMail } from '../src/accounts/index.ts';
import { openLedger } from '../src/ledger/index.ts';
import type { Ledger, OutboxMail } from '../src/ledger/index.ts';
import { activationMail, deactivationMail, escapeHtml, expiryMail, MailError, openMailer, retryAfterMs } from '../src/mail/index.ts';
import type { Mail, Mailer } from '../src/mail/index.ts';
import { USD } from '../src/money/index.ts';
import { openDesk } from './support/command-line.ts';
import { runCommand, startServe } from './support/process.ts';

const START = Date.UTC(2026, 10, 23, 12);
const MINUTE = 60_000;
const DAY = 86_400_000;

/** A mail as an SMTP server got it. */
interface Delivered {
  readonly from: string;
  readonly to: readonly string[];
  /** Header names in lower case; a folded line is one. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** Decoded bodies, by their type. */
  readonly text: string;
  readonly html: string;
}

/** A real SMTP server on loopback, without TLS. `answer` is what it says at the end of each mail; undefined takes it. */
async function postOffice(t: Test): Promise<{ readonly url: string; readonly delivered: Delivered[]; readonly passwords: string[]; answer: (() => Error | undefined) | undefined; refuseRecipient: Error | undefined; close(): Promise<void> }> {
  const delivered: Delivered[] = [];
  const passwords: string[] = [];
  const office = { url: '', delivered, passwords, answer: undefined as (() => Error | undefined) | undefined, refuseRecipient: undefined as Error | undefined, close: () => new Promise<void>((resolve) => server.close(() => resolve())) };
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    allowInsecureAuth: true,
    onAuth(auth, _session, callback) {
      passwords.push(auth.password ?? '');
      callback(null, { user: auth.username });
    },
    disableReverseLookup: true,
    logger: false,
    onRcptTo: (_address, _session, callback) => callback(office.refuseRecipient),
    onData(stream, session, callback) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        const refusal = office.answer?.();
        if (refusal === undefined) {
          const { mailFrom, rcptTo } = session.envelope;
          delivered.push(readMail(Buffer.concat(parts).toString('utf8'), mailFrom === false ? '' : mailFrom.address, rcptTo.map(({ address }) => address)));
        }
        callback(refusal);
      });
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  office.url = `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  t.teardown(() => office.close());
  return office;
}

function readMail(source: string, from: string, to: readonly string[]): Delivered {
  const [head = '', ...rest] = source.split('\r\n\r\n');
  const headers = headersOf(head);
  const boundary = /boundary="([^"]+)"/.exec(headers.get('content-type')?.[0] ?? '')?.[1] ?? '';
  const parts = rest.join('\r\n\r\n').split(`--${boundary}`).map((part) => {
    const [partHead = '', ...body] = part.replace(/^\r\n/, '').split('\r\n\r\n');
    const about = headersOf(partHead);
    return { type: about.get('content-type')?.[0] ?? '', body: decoded(body.join('\r\n\r\n'), about.get('content-transfer-encoding')?.[0] ?? '') };
  });
  const body = (type: string) => parts.find((part) => part.type.startsWith(type))?.body ?? '';
  return { from, to, headers, text: body('text/plain'), html: body('text/html') };
}

function headersOf(head: string): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  for (const line of head.replace(/\r\n[ \t]+/g, ' ').split('\r\n')) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(line.indexOf(':') + 1).trim()]);
  }
  return headers;
}

function decoded(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return body;
  const bytes = body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function mailerTo(t: Test, smtp: string, log: (mail: Mail) => void = () => undefined, from = 'findtoken <billing@example.com>'): Mailer {
  const mailer = openMailer({ from, smtp, log });
  t.teardown(() => mailer.close());
  return mailer;
}

async function books(t: Test): Promise<Ledger> {
  const ledger = await openLedger({ path: join(t.testdir(), 'findtoken.db'), as: 'cli' });
  t.teardown(() => ledger.close());
  return ledger;
}

/** An account whose last notice is due, so that one mail waits in the outbox. */
async function withOneMail(t: Test, queuedMs = START): Promise<{ ledger: Ledger; accountId: string; mail(): Promise<OutboxMail> }> {
  const ledger = await books(t);
  const parts = { ledger, nowMs: () => queuedMs - 358 * DAY };
  const { id: accountId } = await createAccount(parts, { email: 'ann@example.com', pending: false });
  await grantCredits(parts, { accountId, amount: 5n * USD, note: 'test' });
  t.equal((await runDailyJobs({ ledger, publicUrl: 'https://ai.example.com', creditExpiryDays: 365 }, queuedMs)).noticed, 1);
  const mail = async () => {
    const [row] = (await ledger.listMail({ limit: 1 })).rows;
    if (row === undefined) throw new Error('no mail');
    return row;
  };
  return { ledger, accountId, mail };
}

const letter = { id: 'mail_1', recipient: 'ann@example.com', subject: 'Hello', text: 'a text', html: '<p>a text</p>' };

t.test('a mail arrives as text and as HTML, with headers that machines understand', async (t) => {
  const office = await postOffice(t);
  const written = activationMail({ email: 'ann@example.com', link: 'https://ai.example.com/activate?token=abc&x=1', validHours: 24 });
  t.equal(await mailerTo(t, office.url).send({ ...letter, ...written }), 'sent');
  const [mail] = office.delivered;
  if (mail === undefined) return t.fail('nothing arrived');
  t.equal(mail.from, 'billing@example.com', 'the envelope bears the bare address');
  t.same(mail.to, ['ann@example.com']);
  const expected = [
    ['from', /^findtoken <billing@example\.com>$/], ['to', /^ann@example\.com$/], ['subject', /^Activate your findtoken account$/],
    ['message-id', /^<mail_1@example\.com>$/], ['auto-submitted', /^auto-generated$/], ['mime-version', /^1\.0$/], ['content-type', /^multipart\/alternative/],
  ] as const;
  for (const [name, pattern] of expected) {
    t.equal(mail.headers.get(name)?.length, 1, `${name}, once`);
    t.match(mail.headers.get(name)?.[0], pattern);
  }
  t.match(mail.text, 'https://ai.example.com/activate?token=abc&x=1', 'the link stands whole on its line');
  t.match(mail.html, 'href="https://ai.example.com/activate?token=abc&amp;x=1"');
  t.notMatch(mail.html, /<img|<script|src=|url\(/i, 'nothing is fetched');
});

t.test('headers are ASCII, also where the sender\u2019s domain is not', async (t) => {
  const office = await postOffice(t);
  await mailerTo(t, office.url, undefined, 'M\u00fcller & S\u00f6hne <billing@ex\u00e4mple.com>').send(letter);
  const [mail] = office.delivered;
  t.equal(mail?.headers.get('message-id')?.[0], '<mail_1@xn--exmple-cua.com>');
  t.same([...(mail?.headers.values() ?? [])].flat().filter((value) => /[^ -~]/.test(value)), []);
});

t.test('no value becomes a header, an address or a tag', async (t) => {
  const office = await postOffice(t);
  const mailer = mailerTo(t, office.url);
  for (const mark of ['\r\n', '\n', '\r', '\u0000', '\u0085']) {
    await t.rejects(mailer.send({ ...letter, recipient: `ann@example.com${mark}Bcc: eve@example.com` }), RangeError, 'a line break in the recipient');
    await t.rejects(mailer.send({ ...letter, subject: `Hello${mark}Bcc: eve@example.com` }), RangeError, 'and in the subject');
  }
  for (const recipient of ['ann@example.com, eve@example.com', 'Eve <eve@example.com>', 'ann@example.com; eve@example.com']) {
    await t.rejects(mailer.send({ ...letter, recipient }), RangeError, `${recipient} is not one address`);
  }
  t.equal(office.delivered.length, 0, 'nobody got anything');
  await mailer.send({ ...letter, text: 'a\r\n.\r\nMAIL FROM:<eve@example.com>\r\n.\r\n' });
  t.match(office.delivered.at(-1)?.text, /MAIL FROM/, 'a dot on a line of its own ends no mail');

  t.equal(escapeHtml(`<a href="x" title='y'>&`), '&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;');
  const nasty = '"><script>alert(1)</script>@example.com';
  const about = { email: nasty, publicUrl: 'https://ai.example.com', idleSinceMs: START };
  for (const { html, subject } of [activationMail({ email: nasty, link: `https://x/?t=${nasty}`, validHours: 24 }), deactivationMail(about), expiryMail({ ...about, credits: USD, expiresMs: START, days: 7, expiryDays: 365 })]) {
    t.notMatch(html, /<script/, 'an address is text');
    t.match(html, '&quot;&gt;&lt;script&gt;');
    t.notMatch(subject, /script/, 'and no subject bears one');
  }
});

t.test('the letters say what, where and when', async (t) => {
  const about = { email: 'ann@example.com', publicUrl: 'https://ai.example.com', idleSinceMs: START };
  const cases = [
    [expiryMail({ ...about, credits: 945_000_000n, expiresMs: START + 30 * DAY, days: 30, expiryDays: 365 }), /expire in 30 days/, /\$9\.45 in credits.*2026-11-23 \(UTC\)[^]*after 365 days[^]*2026-12-23/],
    [expiryMail({ ...about, credits: 1n, expiresMs: START + DAY, days: 1, expiryDays: 90 }), /expire in 1 day$/, /after 90 days/],
    [deactivationMail(about), /was deactivated/, /not been used since 2026-11-23[^]*ask the operator/],
    [activationMail({ email: 'ann@example.com', link: 'https://x', validHours: 24 }), /^Activate/, /works once, within 24 hours/],
  ] as const;
  for (const [{ subject, text, html }, title, words] of cases) {
    t.match(subject, title);
    t.match(text, words);
    t.ok(html.includes(`<title>${subject}</title>`));
  }
});

t.test('a server that fails is asked again, later and later, for three days', async (t) => {
  const waits = Array.from({ length: 22 }, (_, at) => retryAfterMs(at + 1));
  t.same(waits.slice(0, 11), [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360].map((minutes) => minutes * MINUTE), 'a minute, doubling, at most six hours');
  const sum = waits.reduce<number>((total, wait) => total + (wait ?? 0), 0);
  t.ok(sum <= 3 * DAY && sum > 3 * DAY - 6 * 60 * MINUTE, 'within three days in all');
  t.equal(retryAfterMs(20), undefined);

  const office = await postOffice(t);
  const { ledger, mail } = await withOneMail(t);
  const mailer = mailerTo(t, office.url);
  let nowMs = START;
  const send = () => sendDueMail({ ledger, mailer, nowMs: () => nowMs });
  office.answer = () => Object.assign(new Error('mailbox\r\n busy'), { responseCode: 451 });
  const first = await send();
  t.match(first, { sent: 0, failure: { isLast: false, mail: { kind: 'expiry_7', attempts: 1 }, problem: /^E\w+: .*451/ } });
  t.notMatch((await mail()).problem, /[\r\n]/, 'one line');
  nowMs += MINUTE - 1;
  t.same(await send(), { sent: 0, failure: undefined }, 'not before its minute is over');
  nowMs += 1;
  t.match(await send(), { failure: { mail: { attempts: 2 } } });
  nowMs += 2 * MINUTE;
  office.answer = undefined;
  t.same(await send(), { sent: 1, failure: undefined });
  t.match(await mail(), { state: 'sent', attempts: 3, problem: '', sentMs: nowMs });
  t.equal(office.delivered.length, 1);
  nowMs += DAY;
  t.same(await send(), { sent: 0, failure: undefined }, 'never again');
});

t.test('a server that is gone for good ends it, and the list says why', async (t) => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const { ledger, mail } = await withOneMail(t);
  const mailer = mailerTo(t, `smtp://127.0.0.1:${port}`);
  let nowMs = START;
  let attempts = 0;
  for (let minutes = 0; minutes < 5 * 24 * 60; minutes += 1, nowMs += MINUTE) {
    if (!(await ledger.hasDueMail(nowMs))) continue;
    const { failure } = await sendDueMail({ ledger, mailer, nowMs: () => nowMs });
    attempts += 1;
    if (failure?.isLast === true) break;
  }
  t.equal(attempts, 20);
  t.ok(nowMs - START > 2.5 * DAY && nowMs - START <= 3 * DAY, 'given up in the third day');
  t.match(mailView(await mail()), { state: 'failed', attempts: 20, problem: /ECONNREFUSED/, sent: null });
  t.equal(await ledger.hasDueMail(nowMs + 365 * DAY), false);
});

t.test('a mailbox that does not exist ends it at once; any other refusal of a recipient does not', async (t) => {
  const cases = [
    ['550 5.1.1 no such user', 'failed', 'no mailbox'],
    ['550 5.1.2 no such domain', 'failed', 'no domain'],
    ['554 5.7.1 relaying denied', 'queued', 'the operator can mend it'],
    ['451 4.7.1 greylisted', 'queued', 'it passes'],
    ['550 no', 'queued', 'a server that does not say why'],
  ] as const;
  for (const [answer, state, why] of cases) {
    const office = await postOffice(t);
    const { ledger, mail } = await withOneMail(t);
    office.refuseRecipient = Object.assign(new Error(answer.slice(4)), { responseCode: Number(answer.slice(0, 3)) });
    t.match(await sendDueMail({ ledger, mailer: mailerTo(t, office.url), nowMs: () => START }), { sent: 0, failure: { isLast: state === 'failed' } }, why);
    t.equal((await mail()).state, state, why);
  }
});

t.test('a crash between taking and marking loses no mail', async (t) => {
  const office = await postOffice(t);
  const { ledger, mail } = await withOneMail(t);
  const mailer = mailerTo(t, office.url);
  let nowMs = START;
  const dies: Pick<Mailer, 'send'> = { send: () => new Promise(() => undefined) };
  void sendDueMail({ ledger, mailer: dies, nowMs: () => nowMs });
  while ((await mail()).attempts === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  t.same(await sendDueMail({ ledger, mailer, nowMs: () => nowMs }), { sent: 0, failure: undefined }, 'nobody else takes it while its sender may live');
  nowMs += 5 * MINUTE;
  t.same(await sendDueMail({ ledger, mailer, nowMs: () => nowMs }), { sent: 1, failure: undefined }, 'then it goes out');

  // The server's answer came, the mark did not: the second copy is known by its id.
  const again = await withOneMail(t);
  const forgets = { ...again.ledger, markSent: async () => { throw new Error('killed'); } };
  await t.rejects(sendDueMail({ ledger: { ...again.ledger, ...forgets }, mailer, nowMs: () => nowMs }), /killed/);
  nowMs += 5 * MINUTE;
  t.equal((await sendDueMail({ ledger: again.ledger, mailer, nowMs: () => nowMs })).sent, 1);
  const ids = office.delivered.map(({ headers }) => headers.get('message-id')?.[0]);
  t.equal(ids.length, 3);
  t.equal(ids[1], ids[2], 'both copies bear one Message-ID');
  t.not(ids[0], ids[1]);
});

t.test('a clock that was set back holds no mail up', async (t) => {
  const office = await postOffice(t);
  const { ledger } = await withOneMail(t, START + 3_650 * DAY);
  t.equal((await sendDueMail({ ledger, mailer: mailerTo(t, office.url), nowMs: () => START })).sent, 1, 'queued ten years from now, sent now');
});

t.test('without a server the text goes to the log, and stays in the list', async (t) => {
  const logged: Mail[] = [];
  const { ledger, mail } = await withOneMail(t);
  const mailer = mailerTo(t, '', (one) => logged.push(one));
  t.same(await sendDueMail({ ledger, mailer, nowMs: () => START }), { sent: 1, failure: undefined });
  t.match(logged, [{ recipient: 'ann@example.com', text: /\$5\.00 in credits/ }]);
  t.match(mailView(await mail()), { object: 'mail', state: 'logged', text: /\$5\.00/, recipient: 'ann@example.com', problem: null });
  const { ledger: other } = { ledger: await books(t) };
  t.same((await other.listMail({ limit: 5 })).rows, []);
});

t.test('a link is erased once its mail is sent; one that expired meanwhile is not sent at all', async (t) => {
  const office = await postOffice(t);
  const mailer = mailerTo(t, office.url);
  const ledger = await books(t);
  const parts = { ledger, publicUrl: 'https://ai.example.com', nowMs: () => START };
  const { link } = await createPendingAccount(parts, { email: 'ann@example.com' });
  await createPendingAccount(parts, { email: 'bob@example.com' });
  const [token = ''] = /[0-9a-f]{64}/.exec(link) ?? [];
  t.equal(token.length, 64);
  const taken = await ledger.takeDueMail({ nowMs: START, leaseMs: 1 });
  t.match(taken, { recipient: 'ann@example.com', text: new RegExp(token) });
  await mailer.send(taken ?? letter);
  await ledger.markSent({ id: taken?.id ?? '', as: 'sent', nowMs: START });
  t.same(await sendDueMail({ ledger, mailer, nowMs: () => START + DAY }), { sent: 0, failure: undefined }, "bob's link is dead by now");
  const { rows } = await ledger.listMail({ limit: 10 });
  t.match(rows, [{ recipient: 'bob@example.com', state: 'failed', problem: /expired/ }, { recipient: 'ann@example.com', state: 'sent', text: '', html: '' }]);
  t.equal(office.delivered.length, 1);
  t.match(mailView(rows[1] ?? taken ?? rows[0] as OutboxMail), { text: null });
});

t.test('a password crosses the network inside TLS or not at all', async (t) => {
  const office = await postOffice(t);
  const { port } = new URL(office.url);
  // The system takes 0.0.0.0 for this machine; by its looks it is another one.
  const remote = await mailerTo(t, `smtp://ann:canary@0.0.0.0:${port}`).send(letter).catch((reason: unknown) => reason);
  t.ok(remote instanceof MailError, 'a server without TLS gets no password');
  t.notMatch(String(remote), /canary/, 'nor does it stand in the message');
  await t.rejects(mailerTo(t, `${office.url}?requireTLS=true`).send(letter), { name: 'MailError', code: /^E/ }, 'TLS can be asked for');
  t.same([office.delivered.length, office.passwords], [0, []]);
  await mailerTo(t, `smtp://ann:canary@127.0.0.1:${port}`).send(letter);
  await mailerTo(t, `smtp://ann:canary@0.0.0.0:${port}?requireTLS=false`).send(letter);
  t.same(office.passwords, ['canary', 'canary'], 'on this machine it may, and where the operator says so');
});

t.test('the command line lists the mails and hands the operator a link', async (t) => {
  const desk = openDesk(t);
  const none = await desk.run(['accounts', 'create', 'ann@example.com', '--pending']);
  t.match(none, { code: 0, out: /activation link\thttp:\/\/127\.0\.0\.1:8787\/activate\?token=[0-9a-f]{64}/, err: /give ann@example\.com the link/ });
  t.match(await desk.run(['accounts', 'create', 'ANN@example.com', '--pending']), { code: 1, err: /has an account already/ });
  const bob = await desk.json('accounts', 'create', 'bob@example.com', '--pending');
  t.match(bob, { status: 'pending' });
  const list = await desk.json('mail', 'list');
  t.match(list, { object: 'list', has_more: false, data: [{ recipient: 'bob@example.com', state: 'queued', kind: 'activation' }, { recipient: 'ann@example.com' }] });
  t.notMatch(JSON.stringify([bob, list]), /token=[0-9a-f]/, 'a document bears no link that opens something');
  t.match(list, { data: [{ text: /activate\?token=…/ }, {}] });
  t.match(await desk.run(['mail', 'list', '--text', '--limit', '1']), { code: 0, out: /queued\nTo: bob@example\.com\nSubject: Activate[^]*\nhttp:\/\/127\.0\.0\.1:8787\/activate\?token=/ });
  t.match(await desk.run(['mail', 'list']), { code: 0, out: /^created\tstate\tto/ });
  const smtp = await desk.run(['accounts', 'create', 'eve@example.com', '--pending'], { env: { FINDTOKEN_SMTP_URL: 'smtp://mail.example.com' } });
  t.match(smtp, { code: 0, err: /activation mail is queued/ });
  t.notMatch(smtp.out + smtp.err, /token=/, 'with a mail server the link is between it and its reader');
  const daemon = await startServe(desk.home, ['--port', '0']);
  for (let tries = 0; tries < 40 && (await desk.json('status'))['running'] !== true; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
  const { out } = await desk.run(['accounts', 'create', 'cid@example.com', '--pending']);
  t.match(out, `activation link\t${daemon.url}/activate?token=`, 'a daemon that was told another port is where the link leads');
  writeFileSync(join(desk.home, 'findtoken.yaml'), 'server: { public_url: "https://llm.example.com" }\n');
  t.match(await desk.run(['accounts', 'create', 'dan@example.com', '--pending']), { out: /activation link\thttps:\/\/llm\.example\.com\/activate/ }, 'an address that is written goes before');
  await daemon.end('SIGTERM');
});

t.test('the daemon sends what waits when it starts, and looks after idle accounts', async (t) => {
  const office = await postOffice(t);
  const home = t.testdir({});
  const path = join(home, 'findtoken.db');
  writeFileSync(join(home, 'findtoken.yaml'), JSON.stringify({ server: { port: 0 }, database: { path }, email: { from: 'billing@example.com', smtp: office.url } }));
  t.equal(runCommand(home, ['accounts', 'create', 'ann@example.com', '--pending']).code, 0);
  const before = await openLedger({ path, as: 'cli' });
  await createAccount({ ledger: before, nowMs: () => Date.now() - 400 * DAY }, { email: 'idle@example.com', pending: false });
  await before.close();

  const daemon = await startServe(home);
  t.teardown(() => daemon.end('SIGKILL'));
  while (office.delivered.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
  t.same(office.delivered.map(({ to, headers }) => [to, headers.get('subject')?.[0]]), [
    [['ann@example.com'], 'Activate your findtoken account'],
    [['idle@example.com'], 'Your findtoken account was deactivated'],
  ]);
  t.equal(await daemon.end('SIGTERM'), 0);
  t.notMatch(daemon.output(), /token=/, 'a link that was sent is in no log');
  const after = await openLedger({ path, as: 'read' });
  t.teardown(() => after.close());
  t.same((await after.listMail({ limit: 5 })).rows.map(({ state }) => state), ['sent', 'sent']);
  t.equal((await after.findAccount('idle@example.com'))?.status, 'deactivated');
});
