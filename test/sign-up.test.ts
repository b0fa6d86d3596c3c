import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { activateAccount, createAccount, createKey, createPendingAccount, deactivateAccount } from '../src/accounts/index.ts';
import type { OutboxMail } from '../src/ledger/index.ts';
import { PAGE_STYLE, PAGE_STYLE_HASH } from '../src/gateway/page.ts';
import { SignUpLimits } from '../src/gateway/sign-up-limits.ts';
import { handClock, openHouse, type House } from './support/house.ts';

const PUBLIC = 'https://ai.example.com/llm';
const HOUR = 3_600_000;
const OPEN = { server: { port: 0, public_url: PUBLIC }, registration: { open: true } };

interface Front extends House {
  readonly clock: ReturnType<typeof handClock>;
  signUp(email: unknown, headers?: Record<string, string>): Promise<Response>;
  /** Newest first. */
  mails(): Promise<readonly OutboxMail[]>;
  /** The token of the newest activation mail to an address. */
  tokenFor(email: string): Promise<string>;
  open(token: string, method?: 'GET' | 'HEAD'): Promise<Response>;
  press(token: string, headers?: Record<string, string>): Promise<Response>;
  chat(key: string): Promise<Response>;
}

async function openFront(t: Test, yaml: Readonly<Record<string, unknown>> = OPEN): Promise<Front> {
  const clock = handClock();
  const house = await openHouse(t, { sandbox: true, yaml, clock });
  const mails = async () => (await house.ledger.listMail({ limit: 100 })).rows;
  return {
    ...house, clock, mails,
    signUp: (email, headers = {}) => fetch(`${house.url}/v1/auth/register`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ email }) }),
    async tokenFor(email) {
      const mail = (await mails()).find(({ recipient }) => recipient === email);
      return /activate\?token=([0-9a-f]{64})/.exec(mail?.text ?? '')?.[1] ?? 'none';
    },
    open: (token, method = 'GET') => fetch(`${house.url}/activate?token=${token}`, { method }),
    press: (token, headers = {}) => fetch(`${house.url}/activate`, { method: 'POST', headers, body: new URLSearchParams({ token }) }),
    chat: (key) => fetch(`${house.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify({ model: 'sandbox-chat', max_tokens: 10, messages: [{ role: 'user', content: 'Hello!' }] }) }),
  };
}

/** What a stranger can see of an answer, but for what differs between any two. */
async function seen(response: Response): Promise<unknown> {
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !['date', 'x-request-id'].includes(name)));
  return { status: response.status, headers, body: await response.text() };
}

t.test('from an address to a served request', async (t) => {
  const front = await openFront(t);
  const answer = await front.signUp('Bob@Example.com ');
  t.equal(answer.status, 202);
  t.match(await answer.json(), { object: 'registration', status: 'accepted', detail: /mail with an activation link/ });
  t.equal(answer.headers.get('x-findtoken-cost'), '0.00');
  t.match(await front.mails(), [{ kind: 'activation', recipient: 'bob@example.com', state: 'queued', subject: /Activate/ }]);
  t.match(await front.ledger.findAccount('bob@example.com'), { status: 'pending', balance: 0n });
  const [{ text } = { text: '' }] = await front.mails();
  t.match(text, `\n\n${PUBLIC}/activate?token=`, 'the link is under the public address, on a line of its own');

  const token = await front.tokenFor('bob@example.com');
  const shown = await front.open(token);
  t.equal(shown.status, 200);
  const page = await shown.text();
  t.match(page, /<form method="post" action="activate"><input type="hidden" name="token" value="[0-9a-f]{64}">/, 'a plain form, under whatever path it was opened');

  const done = await front.press(token);
  t.equal(done.status, 200);
  const said = await done.text();
  t.match(said, /bob@example\.com is active[^]*shown only here/);
  t.match(said, `${PUBLIC}/v1`, 'the next step');
  const key = /<code>(sk-ft_[0-9a-f]{64})<\/code>/.exec(said)?.[1] ?? '';
  t.equal((await front.chat(key)).status, 402, 'the key serves; what is missing are credits');
  t.match(await front.ledger.listKeys((await front.ledger.findAccount('bob@example.com'))?.id ?? ''), [{ name: 'first' }], 'one key');
  t.match(await front.mails(), [{ state: 'failed', text: '', problem: /no longer needed/ }], 'a link that was used stands nowhere');
});

t.test('nobody learns whether an address is known', async (t) => {
  const front = await openFront(t);
  const parts = { ledger: front.ledger, nowMs: front.clock.nowMs };
  const off = await createAccount(parts, { email: 'off@example.com', pending: false });
  await deactivateAccount(parts, off.id);
  const first = await seen(await front.signUp('new@example.com'));
  const cases = [
    ['new@example.com', 2, 'pending: a further link'],
    ['ann@example.com', 2, 'active: nothing'],
    ['ANN@EXAMPLE.COM', 2, 'in whatever case'],
    ['off@example.com', 2, 'deactivated: nothing'],
    ['other@example.com', 3, 'unknown: an account'],
  ] as const;
  for (const [email, mails, why] of cases) {
    t.same(await seen(await front.signUp(email)), first, `${why}; the same answer`);
    t.equal((await front.mails()).length, mails, why);
  }
  t.equal((await front.ledger.findAccount('off@example.com'))?.status, 'deactivated');
  t.same((await front.ledger.audit()).findings, []);
});

t.test('opening the link activates nothing; the button does, once', async (t) => {
  const front = await openFront(t);
  await front.signUp('bob@example.com');
  const token = await front.tokenFor('bob@example.com');
  const status = async () => (await front.ledger.findAccount('bob@example.com'))?.status;
  for (let scan = 0; scan < 3; scan += 1) {
    t.equal((await front.open(token)).status, 200);
    const head = await front.open(token, 'HEAD');
    t.same([head.status, await head.text()], [200, '']);
  }
  t.equal(await status(), 'pending', 'mail scanners follow links');
  const pressed = await Promise.all(Array.from({ length: 10 }, () => front.press(token)));
  t.same([200, 410].map((code) => pressed.filter(({ status: said }) => said === code).length), [1, 9], 'of ten at once one counts');
  t.equal(await status(), 'active');
  const again = await front.press(token);
  t.equal(again.status, 410);
  t.notMatch(await again.text(), /sk-ft_/, 'a key is shown once');
});

t.test('a link ends', async (t) => {
  const front = await openFront(t);
  await front.signUp('bob@example.com');
  const first = await front.tokenFor('bob@example.com');
  front.clock.advance(24 * HOUR);
  const late = await front.press(first);
  t.equal(late.status, 410, 'after 24 hours');
  t.match(await late.text(), /expired[^]*Sign up again/);
  t.equal((await front.ledger.findAccount('bob@example.com'))?.status, 'pending');

  await front.signUp('bob@example.com');
  const second = await front.tokenFor('bob@example.com');
  front.clock.advance(HOUR);
  await front.signUp('bob@example.com');
  const third = await front.tokenFor('bob@example.com');
  t.not(second, third);
  front.clock.advance(23 * HOUR - 1);
  t.equal((await front.press(second)).status, 200, 'a millisecond before its end it holds');
  t.equal((await front.press(third)).status, 410, 'and with it all links of the account are spent');

  const cases = [
    ['0'.repeat(64), 404, 'a token that nobody was given'],
    [second.toUpperCase(), 404, 'another form of one'],
    ['', 404, 'none'],
    [`${second}<script>`, 404, 'more than one'],
  ] as const;
  for (const [token, code, why] of cases) {
    const response = await front.press(token);
    t.equal(response.status, code, why);
    t.notMatch(await response.text(), /<script/, why);
    if (code === 404 && token !== '0'.repeat(64)) t.equal((await front.open(token)).status, 400, `${why}: no button for it`);
  }
});

t.test('an operator\'s pending account, and one that an operator closed', async (t) => {
  const front = await openFront(t, { server: { port: 0, public_url: PUBLIC } });
  const parts = { ledger: front.ledger, nowMs: front.clock.nowMs, publicUrl: PUBLIC };
  const { account, link } = await createPendingAccount(parts, { email: 'Bob@example.com' });
  t.match(link, new RegExp(`^${PUBLIC}/activate\\?token=[0-9a-f]{64}$`));
  const { key } = await createKey(parts, { accountId: account.id, name: 'by hand' });
  const pending = await front.chat(key);
  t.equal(pending.status, 403);
  t.match(await pending.json(), { error: { code: 'account_inactive', message: /not activated yet.*activation mail/ } });
  const token = new URL(link).searchParams.get('token') ?? '';
  const done = await front.press(token);
  t.equal(done.status, 200, 'links hold while registration is closed');
  const said = await done.text();
  t.notMatch(said, /sk-ft_/, 'it has a key; none is made');
  t.match(said, /has an API key already/);
  t.equal((await front.chat(key)).status, 402);
  t.match(await front.ledger.findAccount(account.id), { activityMs: front.clock.nowMs() }, 'being activated is activity');

  await deactivateAccount(parts, account.id);
  const closed = await front.chat(key);
  t.equal(closed.status, 403);
  t.match([closed.headers.get('x-findtoken-mode'), closed.headers.get('x-findtoken-cost'), closed.headers.get('x-findtoken-balance')], ['standard', '0.00', '0.00'], 'its credits are told all the same');
  t.match(await closed.json(), { error: { code: 'account_inactive', message: /deactivated.*operator/ } });

  const other = await createPendingAccount(parts, { email: 'eve@example.com' });
  await deactivateAccount(parts, other.account.id);
  const refused = await front.press(new URL(other.link).searchParams.get('token') ?? '');
  t.equal(refused.status, 403, 'a link does not undo an operator\'s word');
  t.equal((await front.ledger.findAccount('eve@example.com'))?.status, 'deactivated');
  await activateAccount(parts, other.account.id);
  await t.rejects(createPendingAccount(parts, { email: 'EVE@example.com' }), { code: 'invalid_request', message: /has an account already/ });
});

t.test('closed, unless the operator opens it; and what is no sign-up', async (t) => {
  const closed = await openFront(t, {});
  const answer = await closed.signUp('bob@example.com');
  t.equal(answer.status, 404);
  t.match(await answer.json(), { error: { code: 'not_found', message: /closed.*accounts create EMAIL.*registration\.open/ } });
  t.same(await closed.mails(), []);

  const front = await openFront(t);
  const cases = [
    [JSON.stringify({ email: 'ann' }), 400, 'no address'],
    [JSON.stringify({ email: 7 }), 400, 'no text'],
    [JSON.stringify({}), 400, 'no field'],
    ['[]', 400, 'no object'],
    ['{', 400, 'no JSON'],
    [JSON.stringify({ email: 'a@b.c\r\nBcc: eve@example.com' }), 400, 'a line break'],
    [JSON.stringify({ email: 'ann@example.com,eve@example.com' }), 400, 'two addresses'],
    [JSON.stringify({ email: 'Eve <eve@example.com>' }), 400, 'a name'],
    [JSON.stringify({ email: `${'a'.repeat(5_000)}@b.c` }), 413, 'too long'],
  ] as const;
  for (const [body, status, why] of cases) {
    const response = await fetch(`${front.url}/v1/auth/register`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    t.equal(response.status, status, why);
    t.match(await response.json(), { error: { message: /\w/ } }, why);
  }
  t.equal((await fetch(`${front.url}/v1/auth/register`, { method: 'POST', body: 'email=ann@example.com', headers: { 'content-type': 'application/x-www-form-urlencoded' } })).status, 415, 'what another site\'s form can send');
  t.equal((await fetch(`${front.url}/activate`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } })).status, 415);
  t.equal((await fetch(`${front.url}/activate`, { method: 'POST', body: new URLSearchParams({ token: 'a'.repeat(5_000) }) })).status, 413);
  t.equal((await fetch(`${front.url}/activate`, { method: 'DELETE' })).status, 405);
  t.same(await front.mails(), [], 'no mail to anybody');
});

t.test('nobody floods a mailbox', async (t) => {
  const front = await openFront(t);
  for (let wish = 1; wish <= 5; wish += 1) t.equal((await front.signUp('bob@example.com')).status, 202, `wish ${wish}`);
  t.equal((await front.mails()).length, 3, 'three mails a day, though the answer is the same');
  const refused = await front.signUp('BOB@example.com');
  t.equal(refused.status, 429, 'and five wishes an hour');
  t.match(refused.headers.get('retry-after'), /^\d+$/);
  t.match(await refused.json(), { error: { code: 'rate_limit_exceeded', message: /Try again in 12 minutes/ } });
  for (let wish = 1; wish <= 5; wish += 1) await front.signUp('ann@example.com');
  t.equal((await front.signUp('ann@example.com')).status, 429, 'a known address is counted like any');
  t.equal((await front.signUp('eve@example.com')).status, 202, 'others go on');
  front.clock.advance(12 * 60_000);
  t.equal((await front.signUp('bob@example.com')).status, 202);
  t.equal((await front.mails()).filter(({ recipient }) => recipient === 'bob@example.com').length, 3, 'still three');
  front.clock.advance(24 * HOUR);
  await front.signUp('bob@example.com');
  t.equal((await front.mails()).filter(({ recipient }) => recipient === 'bob@example.com').length, 4, 'the next day a further one');
});

t.test('one client, and all of them, are counted too', async (t) => {
  let nowMs = 0;
  const limits = new SignUpLimits(() => nowMs);
  let number = 0;
  const enter = (remoteAddress: string | undefined) => limits.enter({ email: `a${(number += 1)}@example.com`, remoteAddress });
  const count = (remoteAddress: () => string | undefined, most: number) => {
    for (let done = 0; done < most; done += 1) {
      try {
        enter(remoteAddress());
      } catch (error) {
        t.match(error, { code: 'rate_limit_exceeded' });
        return done;
      }
    }
    return most;
  };
  t.equal(count(() => '198.51.100.7', 50), 20, 'twenty an hour of one address');
  t.equal(count(() => '::ffff:198.51.100.7', 5), 0, 'in its other form too');
  let host = 0;
  t.equal(count(() => `2001:db8:1:2::${(host += 1).toString(16)}`, 50), 20, 'a whole IPv6 network is one client');
  t.equal(count(() => '2001:db8:1:3::1', 5), 5, 'the next network is another');
  t.equal(count(() => '127.0.0.1', 400), 300 - 45, 'this machine speaks for many; three hundred an hour of everybody');
  nowMs += HOUR;
  t.equal(count(() => undefined, 400), 300, 'an hour later all is as before');
});

t.test('the pages keep their secret', async (t) => {
  const front = await openFront(t);
  await front.signUp('bob@example.com');
  const token = await front.tokenFor('bob@example.com');
  t.equal(PAGE_STYLE_HASH, `sha256-${createHash('sha256').update(PAGE_STYLE).digest('base64')}`, 'the policy lets in this style and no other');
  for (const response of [await front.open(token), await front.open('x'), await front.press('y'), await front.press(token), await front.press(token)]) {
    t.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
    t.equal(response.headers.get('content-security-policy'), `default-src 'none'; style-src '${PAGE_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`);
    t.equal(response.headers.get('referrer-policy'), 'no-referrer');
    t.equal(response.headers.get('cache-control'), 'no-store');
    t.notMatch(await response.text(), /<script|src=|href=|https?:\/\/(?!ai\.example\.com)/i, 'nothing leads or fetches elsewhere');
  }
  const logged = JSON.stringify([front.lines, front.logged]);
  t.notMatch(logged, token, 'the access log has no token');
  t.notMatch(logged, /sk-ft_/, 'and no key');
});

t.test('the form comes from the page, and only the form', async (t) => {
  const front = await openFront(t);
  await front.signUp('bob@example.com');
  const token = await front.tokenFor('bob@example.com');
  const cases = [
    [{ origin: 'https://evil.example' }, 403, 'another site'],
    [{ origin: 'null', 'sec-fetch-site': 'cross-site' }, 403, 'another site that hides itself'],
    [{ origin: 'null', 'sec-fetch-site': 'same-origin' }, 200, 'the page: it sends no referrer, so the browser hides its origin'],
    [{ origin: new URL(PUBLIC).origin }, 410, 'a browser that does not'],
    [{ origin: 'null' }, 410, 'an old browser'],
  ] as const;
  for (const [headers, status, why] of cases) t.equal((await front.press(token, headers)).status, status, why);
  t.equal((await front.signUp('eve@example.com', { origin: 'null' })).status, 403, 'a hidden origin opens nothing else');
  t.equal((await fetch(`${front.url}/activate?token=${token}`, { headers: { origin: 'null' } })).status, 403);
});
