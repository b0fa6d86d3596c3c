import t from 'tap';
import { openHouse } from './support/house.ts';

const ORIGIN = 'https://app.example.com';
const NAMES = 'authorization, content-type, idempotency-key, x-api-key, x-findtoken-mode, x-findtoken-routing';

t.test('a program that is a web page has an origin too', async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli', yaml: { server: { port: 0, cors_origins: ['app://obsidian.md'] } } });
  const call = (origin: string) => house.post({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'Hello!' }] }, { origin });
  const answer = await call('app://obsidian.md');
  t.match([answer.status, answer.headers.get('access-control-allow-origin')], [200, 'app://obsidian.md']);
  for (const other of ['app://other.md', 'app://', 'null', 'http://obsidian.md']) t.equal((await call(other)).status, 403, other);
});

t.test('a page of a listed origin calls with the OpenAI SDK', async (t) => {
  const house = await openHouse(t, { sandbox: true, books: 'cli', yaml: { server: { port: 0, cors_origins: [ORIGIN] } } });
  const preflight = (asked?: string, origin = ORIGIN) =>
    fetch(`${house.url}/v1/chat/completions`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', ...(asked === undefined ? {} : { 'access-control-request-headers': asked }) } });
  const sdk = 'authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout';
  const asked = await preflight(sdk);
  t.equal(asked.status, 204);
  t.equal(asked.headers.get('access-control-allow-origin'), ORIGIN);
  t.equal(asked.headers.get('access-control-allow-headers'), sdk.replaceAll(',', ', '));
  t.match(asked.headers.get('vary'), /access-control-request-headers/);
  for (const odd of [undefined, 'a b', 'x,,y', '*', 'x-é'.normalize('NFC'), `${'x,'.repeat(70)}x`, `x-${'a'.repeat(3_000)}`]) {
    t.equal((await preflight(odd)).headers.get('access-control-allow-headers'), NAMES, `${String(odd).slice(0, 20)} is not reflected`);
  }
  t.equal((await preflight(sdk, 'https://evil.example')).status, 403, 'nobody else is let in');
  for (const stream of [false, true]) {
    const answer = await house.post({ model: 'deepseek-chat', stream, messages: [{ role: 'user', content: 'Hello!' }] }, { origin: ORIGIN, 'idempotency-key': `key-${stream}` });
    await answer.text();
    const replayed = await house.post({ model: 'deepseek-chat', stream, messages: [{ role: 'user', content: 'Hello!' }] }, { origin: ORIGIN, 'idempotency-key': `key-${stream}` });
    await replayed.text();
    t.equal(replayed.headers.get('idempotent-replayed'), 'true');
    for (const { status, headers } of [answer, replayed]) {
      t.match([status, headers.get('access-control-allow-origin')], [200, ORIGIN], stream ? 'a stream too' : 'a whole answer');
      t.match(headers.get('access-control-expose-headers'), /x-should-retry, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, idempotent-replayed/);
    }
  }
  t.equal((await house.get('/v1/models')).headers.get('access-control-allow-origin'), null, 'a program that is no page hears nothing of it');
});
