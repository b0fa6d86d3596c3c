import t from 'tap';
import { pathToLog, redacted } from '../src/gateway/redact.ts';
import { openHouse } from './support/house.ts';
import { json, startProvider } from './support/provider.ts';

const KEY = 'sk-OPERATOR-key_aB3dE5fG7hJ9kL-mN1pQ';
const HEX = Buffer.from(KEY).toString('hex');
const BASE64 = Buffer.from(KEY).toString('base64');

function windows(text: string, length: number): readonly string[] {
  return Array.from({ length: text.length - length + 1 }, (_, at) => text.slice(at, at + length));
}

function percent(text: string): string {
  return [...text].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join('');
}

t.test('of a key nothing is said, in whatever form it stands there', async (t) => {
  const cases = [
    // what stands in the text, what is told, why
    [KEY, '[key]', 'the key itself'],
    [`${KEY.slice(0, 16)}****${KEY.slice(-4)}`, `[key]****${KEY.slice(-4)}`, 'masked, as many providers do'],
    [KEY.toUpperCase(), '[key]', 'in capitals'],
    [`Bearer ${KEY}.`, 'Bearer [key].', 'between other words'],
    [encodeURIComponent(KEY.replaceAll('-', '%')), 'sk%25[key]%25[key]%25mN1pQ', 'partly in other letters: what is left has less than 8 in a row'],
    [KEY.replaceAll('-', '%2D').replaceAll('_', '%5f'), '[key]', 'for an address'],
    [percent(KEY), '[key]', 'all of it for an address'],
    [encodeURIComponent(percent(KEY)), '[key]', 'and twice'],
    [HEX, '[key]', 'as hex'],
    [HEX.toUpperCase(), '[key]', 'as hex in capitals'],
    [BASE64, '[key]', 'as base64'],
    [encodeURIComponent(BASE64), '[key]', 'as base64 for an address'],
    [Buffer.from(KEY).toString('base64url'), '[key]', 'as base64url'],
    [KEY.repeat(3), '[key]', 'three times in a row'],
    ['100%, %zz and %', '100%, %zz and %', 'signs that are no escapes stay'],
    ['İstanbul İİ 🚀', 'İstanbul İİ 🚀', 'and so do letters that change their length'],
  ] as const;
  for (const [said, told, why] of cases) t.equal(redacted(`no ${said} here`, KEY, 500), `no ${told} here`, why);
  for (const before of ['', 'x', 'Bearer ', 'user:', ':']) {
    const told = redacted(`<${Buffer.from(`${before}${KEY} and more`).toString('base64')}>`, KEY, 500);
    t.notOk(windows(BASE64, 8).some((piece) => told.includes(piece)), `base64 behind "${before}"`);
    t.ok(told.includes('[key]') && told.length < 40, told);
  }
});

t.test('no part of 12 characters is told, nor any of 8', async (t) => {
  for (const length of [8, 12]) {
    for (const form of [KEY, HEX, BASE64]) {
      for (const piece of windows(form.replace(/=+$/, ''), length)) t.equal(redacted(`<${piece}>`, KEY, 500), '<[key]>', piece);
    }
  }
});

t.test('what is no key stays', async (t) => {
  t.equal(redacted('keys begin with sk-proj-', 'sk-proj-abcdefghijkl', 500), 'keys begin with sk-proj-', 'what all keys begin with');
  t.equal(redacted('keys begin with sk-ant-api03-', 'sk-ant-api03-abcdefghijkl', 500), 'keys begin with sk-ant-api03-');
  t.equal(redacted('not sk-ant-api03-a', 'sk-ant-api03-abcdefghijkl', 500), 'not sk-ant[key]', 'but not with a part of the key behind it');
  t.equal(redacted('a short run: abcdefg', 'sk-abcdefghijkl', 500), 'a short run: abcdefg');
  t.equal(redacted('ollama has no oll', 'ollama', 500), '[key] has no oll', 'a short key is told by the whole of it');
  t.equal(redacted('sk-proj- is no key', 'sk-proj-', 500), '[key] is no key', 'and so is one that is nothing but a beginning');
  t.equal(redacted('as it came', '', 500), 'as it came', 'without a key');
});

t.test('the key goes before the text is cut', async (t) => {
  for (let before = 480; before < 510; before += 1) {
    const told = redacted(`${'.'.repeat(before)}${KEY}${'.'.repeat(600)}`, KEY, 500);
    t.notOk(told.includes(KEY.slice(0, 1)), `the cut ${500 - before} characters into the key`);
    t.ok(told.length <= 506 && told.endsWith('…'), 'and cut it is');
  }
  t.equal(redacted('.'.repeat(501), '', 500), `${'.'.repeat(500)}…`);
  t.equal(redacted('.'.repeat(500), KEY, 500), '.'.repeat(500));
});

t.test("a client is told a provider's words without the operator's key", async (t) => {
  const provider = await startProvider();
  t.teardown(() => provider.close());
  const house = await openHouse(t, { yaml: { providers: { deepseek: { base_url: provider.url, api_key: KEY } }, routing: { retries: 0 } } });
  const echoes = {
    masked: `${KEY.slice(0, 16)}****${KEY.slice(-4)}`, base64: BASE64, hex: HEX, address: percent(KEY), 'beyond the cut': `${KEY} `.repeat(40),
  };
  for (const [why, echo] of Object.entries(echoes)) {
    for (const words of [`Incorrect key: ${echo}`, `maximum context length exceeded: ${echo}`]) {
      provider.next(json(400, { error: { message: words, type: 'invalid_request_error', code: words.startsWith('max') ? 'context_length_exceeded' : 'invalid_request' } }));
      const text = await (await house.post({ model: 'deepseek-chat', messages: [{ role: 'user', content: 'x' }] })).text();
      t.match(text, /\[key\]/, why);
      for (const form of [KEY, BASE64, HEX, percent(KEY)]) t.notOk(windows(form, 8).some((piece) => text.includes(piece)), why);
    }
  }
});

t.test('a key in a path is not logged, however its characters are written', async (t) => {
  const house = await openHouse(t, {});
  const own = house.key;
  const ways = [own, own.replace('-', '%2d'), own.replace('-', '%2D'), own.replace('sk', '%73%6b'), own.replace('sk', 's%6B'), percent(own), encodeURIComponent(percent(own)), own.replace('-', '%25252d')];
  for (const way of ways) {
    await house.get(`/v1/models/${way}`);
    await house.get(`/v1/keys/${way}/more`);
  }
  t.same([...new Set(house.lines.map(({ path }) => path))], ['/v1/models/sk-…', '/v1/keys/sk-…/more']);
  for (const path of ['/v1/models/task-12', '/v1/models/sk-short', '/v1/models/a%2Fb', '/%zz%', '/v1/models/%73%6b']) t.equal(pathToLog(path), path, 'anything else stays');
  // Quadratic in any of these would be minutes.
  for (const hostile of ['%', '%25', '25', 's%6b', 'sk-', 'sk-%25', '%2525732525']) pathToLog(`/sk-%${hostile.repeat(100_000 / hostile.length)}`);
});
