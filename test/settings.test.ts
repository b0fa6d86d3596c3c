import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { parse } from 'yaml';
import { checkSettings, describeSettings, loadSettings, maskedSettings, SettingsError } from '../src/settings/index.ts';
import type { LoadOptions, Settings } from '../src/settings/index.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NOWHERE = { env: {}, cwd: '/nowhere', home: '/home/ann' };

/** Settings of a findtoken.yaml with this text, its catalogue read too. */
function load(t: Test, text: string, more: Partial<LoadOptions> = {}): Settings {
  const cwd = t.testdir({ 'findtoken.yaml': text });
  const settings = loadSettings({ ...NOWHERE, cwd, ...more });
  checkSettings(settings);
  return settings;
}

/** The message with which this text is refused. */
function refusal(t: Test, text: string, more: Partial<LoadOptions> = {}): string {
  try {
    load(t, text, more);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  return 'taken';
}

/** Without what differs by file alone. */
function comparable(settings: Settings): object {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !['origins', 'overlaid', 'file', 'hasOwnCatalog'].includes(name)));
}

t.test('without a file the defaults serve', async (t) => {
  const settings = loadSettings(NOWHERE);
  t.same(comparable({ ...settings, catalog: { models: new Map(), providers: new Map(), equivalents: new Map() } }), {
    server: { host: '127.0.0.1', port: 8787, publicUrl: 'http://127.0.0.1:8787', workers: 1, hosts: [], corsOrigins: [], drainMs: 120_000, metrics: 'loopback' },
    database: { path: '/home/ann/.local/share/findtoken/findtoken.db', anchors: '/home/ann/.local/state/findtoken', keepRequestsMs: Infinity },
    secrets: { masterKey: { kind: 'auto' } },
    billing: {
      usageFee: 55_000n, rechargeFee: 55_000n, minimumRecharge: 1_000_000_000n, byokFreeRequests: 1_000_000, byokFee: 50_000n,
      creditExpiryDays: 365, refundDays: 14, refundFee: 'kept', pictureTokens: 4_096, mediaTokens: 131_072, defaultMaxTokens: 16_384,
    },
    limits: { requestsPerMinute: 600, concurrentRequests: 200, bodyBytes: 20_971_520, jsonDepth: 128, jsonValues: 60_000, inFlight: 10_000, loopLagMs: 3_000, connections: 20_000, connectionsPerAddress: 4_096 },
    routing: {
      retries: 3, backoffMs: [1_000, 2_000, 4_000], timeoutMs: 30_000, streamTimeoutMs: 120_000, healthIntervalMs: 30_000,
      deadlineMs: 90_000, maxAttempts: 10,
    },
    stripe: { secretKey: '', webhookSecret: '', apiBase: 'https://api.stripe.com', returnUrls: [] },
    email: { from: 'findtoken@localhost', smtp: '' },
    registration: { open: false },
    sandbox: false,
    log: { level: 'info', format: 'auto' },
    catalog: { models: new Map(), providers: new Map(), equivalents: new Map() },
    providerKeys: new Map(),
  });
  t.equal(settings.file, undefined);
  t.equal(settings.catalog.models.size, 40);
  t.equal(settings.catalog, settings.catalog, 'the catalogue is read once');
});

t.test('the first file found is read, and no other', async (t) => {
  const dir = t.testdir({
    named: { 'a.yaml': 'server: { port: 1 }' },
    variable: { 'b.yaml': 'server: { port: 2 }' },
    work: { 'findtoken.yaml': 'server: { port: 3 }' },
    xdg: { findtoken: { 'findtoken.yaml': 'server: { port: 4 }' } },
    home: { '.config': { findtoken: { 'findtoken.yaml': 'server: { port: 5 }' } } },
    empty: {},
  });
  const at = (...names: string[]) => join(dir, ...names);
  const env = { FINDTOKEN_CONFIG: at('variable', 'b.yaml'), XDG_CONFIG_HOME: at('xdg') };
  const cases: [LoadOptions, number, string][] = [
    [{ file: at('named', 'a.yaml'), env, cwd: at('work'), home: at('home') }, 1, '--config first'],
    [{ file: '../named/a.yaml', env, cwd: at('work'), home: at('home') }, 1, '--config from the working directory'],
    [{ env, cwd: at('work'), home: at('home') }, 2, 'FINDTOKEN_CONFIG'],
    [{ env: { ...env, FINDTOKEN_CONFIG: '' }, cwd: at('work'), home: at('home') }, 3, 'an empty variable names nothing; ./findtoken.yaml'],
    [{ env: { XDG_CONFIG_HOME: at('xdg') }, cwd: at('empty'), home: at('home') }, 4, 'XDG_CONFIG_HOME'],
    [{ env: {}, cwd: at('empty'), home: at('home') }, 5, '~/.config'],
    [{ env: { XDG_CONFIG_HOME: 'xdg' }, cwd: dir, home: at('home') }, 5, 'a relative XDG folder is ignored'],
    [{ env: {}, cwd: at('empty'), home: at('empty') }, 8787, 'none'],
  ];
  for (const [options, port, why] of cases) t.equal(loadSettings(options).server.port, port, why);
  t.equal(loadSettings({ env: {}, cwd: at('work'), home: at('home') }).file, at('work', 'findtoken.yaml'), 'which one it was is known');
  t.throws(() => loadSettings({ file: 'gone.yaml', env, cwd: at('work'), home: at('home') }), { message: 'gone.yaml: --config names a file that does not exist. Mend the path, or make the file with `findtoken init`.' });
  t.throws(() => loadSettings({ env: { FINDTOKEN_CONFIG: '/gone.yaml' }, cwd: at('work'), home: at('home') }), { message: /^\/gone\.yaml: FINDTOKEN_CONFIG names a file that does not exist/ });
  t.throws(() => loadSettings({ file: '', env, cwd: at('work'), home: at('home') }), /--config names a file that does not exist/);
  t.throws(() => loadSettings({ file: at('work'), env, cwd: at('work'), home: at('home') }), /this is a folder/);
});

t.test('what is wrong is refused with its place and the mend', async (t) => {
  const cases: [string, string][] = [
    // keys
    ['sever: {}', 'findtoken.yaml:1:1: sever: unknown key. Did you mean server?'],
    ['server:\n  prot: 1', 'findtoken.yaml:2:3: server.prot: unknown key. Did you mean port?'],
    ['log: { zzz: 1 }', 'findtoken.yaml:1:8: log.zzz: unknown key. The names here are level, format.'],
    ['server: 8787', 'findtoken.yaml:1:9: server: expected names and values. Write for example server: { host: … }'],
    ['sandbox: { on: true }', 'findtoken.yaml:1:10: sandbox: expected true or false, not a mapping. Write for example sandbox: false'],
    // no names, no end, no text
    ['a: &a [*a]', 'findtoken.yaml:1:8: this * stands inside of what it names, which would have no end. Write the value out.'],
    ['server:\n  port: {{ PORT }}', 'findtoken.yaml:2:10: a list or a mapping stands where a name belongs. Write a plain name, and put a text with { or [ in quotes.'],
    ['? [a]\n: 1', 'findtoken.yaml:1:3: a list or a mapping stands where a name belongs. Write a plain name, and put a text with { or [ in quotes.'],
    ['s\0e\0r\0v\0e\0r\0:\0', 'findtoken.yaml:1:1: the file is no UTF-8 text. Save it as UTF-8.'],
    ['\uFFFD\uFFFDs', 'findtoken.yaml:1:1: the file is no UTF-8 text. Save it as UTF-8.'],
    // values
    ['server:\n  port: http', 'findtoken.yaml:2:9: server.port: expected a whole number from 0 to 65535, not "http". Write for example port: 8787'],
    ['server:\n  port: 65536', 'findtoken.yaml:2:9: server.port: expected a whole number from 0 to 65535, not 65536. Write for example port: 8787'],
    ['server: { port: 80.5 }', 'findtoken.yaml:1:17: server.port: expected a whole number from 0 to 65535, not 80.5. Write for example port: 8787'],
    ['server: { port: [80] }', 'findtoken.yaml:1:17: server.port: expected a whole number from 0 to 65535, not [80]. Write for example port: 8787'],
    ['server: { host: "http://a" }', 'findtoken.yaml:1:17: server.host: expected a host name or an IP address, without scheme and port, not "http://a". Write for example host: 127.0.0.1'],
    ['server: { hosts: a.test }', 'findtoken.yaml:1:18: server.hosts: expected a list, each a host name or an IP address, without scheme and port, not "a.test". Write for example hosts: [gateway.internal]'],
    ['server: { cors_origins: ["https://a.test/app"] }', 'findtoken.yaml:1:25: server.cors_origins: expected a list, each a web origin, scheme and host without a path, not ["https://a.test/app"]. Write for example cors_origins: [https://app.example.com]'],
    ['server: { cors_origins: ["app://a.test/app"] }', 'findtoken.yaml:1:25: server.cors_origins: expected a list, each a web origin, scheme and host without a path, not ["app://a.test/app"]. Write for example cors_origins: [https://app.example.com]'],
    ['server: { cors_origins: ["null"] }', 'findtoken.yaml:1:25: server.cors_origins: expected a list, each a web origin, scheme and host without a path, not ["null"]. Write for example cors_origins: [https://app.example.com]'],
    ['server: { workers: 0 }', 'findtoken.yaml:1:20: server.workers: expected a whole number from 1 to 64, not 0. Write for example workers: 1'],
    ['\n\nrouting:\n  timeout: 30', 'findtoken.yaml:4:12: routing.timeout: expected a time with its unit (ms, s, m or h) from 10ms to 1h, not 30. Write for example timeout: 30s'],
    ['routing: { timeout: 2h }', 'findtoken.yaml:1:21: routing.timeout: expected a time with its unit (ms, s, m or h) from 10ms to 1h, not "2h". Write for example timeout: 30s'],
    ['routing: { backoff: 1s }', 'findtoken.yaml:1:21: routing.backoff: expected a list of at least 1, each a time with its unit (ms, s, m or h) from 0s to 1h, not "1s". Write for example backoff: [1s, 2s, 4s]'],
    ['routing: { backoff: [] }', 'findtoken.yaml:1:21: routing.backoff: expected a list of at least 1, each a time with its unit (ms, s, m or h) from 0s to 1h, not []. Write for example backoff: [1s, 2s, 4s]'],
    ['billing: { usage_fee: 101% }', 'findtoken.yaml:1:23: billing.usage_fee: expected a percentage from 0 % to 100 % with at most 4 decimals, not "101%". Write for example usage_fee: 5.5%'],
    ['billing: { minimum_recharge: 0 }', 'findtoken.yaml:1:30: billing.minimum_recharge: expected US dollars, at least 0.50, not 0. Write for example minimum_recharge: 10'],
    ['limits: { body_bytes: 20MB }', 'findtoken.yaml:1:23: limits.body_bytes: expected a number of bytes from 1024 to 268435456, or of KiB or MiB, not "20MB". Write for example body_bytes: 20971520'],
    ['log: { level: loud }', 'findtoken.yaml:1:15: log.level: expected one of silent, error, warn, info, debug, not "loud". Write for example level: info'],
    ['registration: { open: yes }', 'findtoken.yaml:1:23: registration.open: expected true or false, not "yes". Write for example open: false'],
    ['secrets: { master_key: hunter2 }', 'findtoken.yaml:1:24: secrets.master_key: expected auto, keychain, file:/path or env:NAME, not "hunter2". Write for example master_key: file:/etc/findtoken/master.key'],
    ['secrets: { master_key: "env:A B" }', 'findtoken.yaml:1:24: secrets.master_key: expected auto, keychain, file:/path or env:NAME, not "env:A B". Write for example master_key: file:/etc/findtoken/master.key'],
    ['server: { public_url: "https://a.test?x=1" }', 'findtoken.yaml:1:23: server.public_url: expected an http or https address without user, password, query and fragment, not "https://a.test?x=1". Write for example public_url: "http://127.0.0.1:8787"'],
    ['stripe: { api_base: "http://127.0.0.1:12111/stripe" }', 'findtoken.yaml:1:21: stripe.api_base: expected an http or https address without a path, not "http://127.0.0.1:12111/stripe". Write for example api_base: "https://api.stripe.com"'],
    ['stripe: { api_base: "htps://api.stripe.com" }', 'findtoken.yaml:1:21: stripe.api_base: expected an http or https address without a path, not "htps://api.stripe.com". Write for example api_base: "https://api.stripe.com"'],
    ['email: { from: nobody }', 'findtoken.yaml:1:16: email.from: expected a mail address, not "nobody". Write for example from: billing@example.com'],
    ['database: { path: "" }', 'findtoken.yaml:1:19: database.path: expected the path of a file, not nothing. Write for example path: "${XDG_DATA_HOME:-~/.local/share}/findtoken/findtoken.db"'],
    ['database: { keep_requests: 6d }', 'findtoken.yaml:1:28: database.keep_requests: expected forever, or days from 7d to 36500d, not "6d". Write for example keep_requests: 400d'],
    ['database: { keep_requests: 400 }', 'findtoken.yaml:1:28: database.keep_requests: expected forever, or days from 7d to 36500d, not 400. Write for example keep_requests: 400d'],
    // the environment
    ['server:\n  host: "${HOST}"', 'findtoken.yaml:2:9: server.host: the environment variable HOST is not set. Set it, or give it a default: ${HOST:-default}.'],
    ['stripe:\n  return_urls: ["${A:-https://a.test}", "${B}"]', 'findtoken.yaml:2:41: stripe.return_urls.1: the environment variable B is not set. Set it, or give it a default: ${B:-default}.'],
    ['server: { host: "${a-b}" }', 'findtoken.yaml:1:17: server.host: a variable is written ${NAME} or ${NAME:-default}. Mend it, or write $${ for a plain ${.'],
    ['server: { host: "${HOST" }', 'findtoken.yaml:1:17: server.host: a variable is written ${NAME} or ${NAME:-default}. Mend it, or write $${ for a plain ${.'],
    // YAML
    ['server:\n\tport: 1', 'findtoken.yaml:2:1: a tab indents this line. Use blanks.'],
    ['server: { port: 1 }\nserver: { port: 2 }', 'findtoken.yaml:2:1: this name stands here twice. Leave one out.'],
    ['server: { port: 1', 'findtoken.yaml:1:18: this line is indented wrongly, or a bracket before it is still open. Line it up with its neighbours, or close the bracket.'],
    ['server:\n  host: "a', 'findtoken.yaml:2:11: a quote, a bracket or a colon is missing. Close what was opened.'],
    ['- server', 'findtoken.yaml:1:1: expected names and values. Write for example server: { port: 8787 }.'],
    [`a: &a [${'x,'.repeat(10)}]\nb: &b [${'*a,'.repeat(10)}]\nc: &c [${'*b,'.repeat(10)}]\nd: [${'*c,'.repeat(10)}]`, 'findtoken.yaml:1:1: too many aliases (*name) are nested. Write the values out.'],
    ['just words', 'findtoken.yaml:1:1: expected names and values. Write for example server: { port: 8787 }.'],
    ['server: *nobody', 'findtoken.yaml:1:9: this * or & names nothing. Put a text that begins so in quotes.'],
    // the catalogue
    ['providers:\n  qwen: { zzz: 1 }', 'findtoken.yaml:2:11: providers.qwen.zzz: unknown key. The names here are name, base_url, regions, dialect, key_format, api_key.'],
    ['providers:\n  qwen: { apikey: sk-1 }', 'findtoken.yaml:2:11: providers.qwen.apikey: unknown key. Did you mean api_key?'],
    ['models:\n  mine:\n    provider: deepseek', 'findtoken.yaml:2:3: models.mine.price: a model without a price is refused. Write for example price: { input: 0.14, output: 0.28 }, US dollars per million tokens.'],
    ['models:\n  mine: { provider: depseek, price: { input: 1, output: 1 } }', 'findtoken.yaml:2:21: models.mine.provider: no provider has this name. Did you mean deepseek?'],
    ['models:\n  deepseek-chat:\n    price: { input: 0.1234567 }', 'findtoken.yaml:3:21: models.deepseek-chat.price.input: expected US dollars per million tokens, 0 or more, with at most 6 decimals. Write for example input: 0.14.'],
    ['models:\n  deepseek-chat:\n    prise: 1', 'findtoken.yaml:3:5: models.deepseek-chat.prise: unknown key. Did you mean price?'],
    ['models:\n  deepseek-chat:\n    price: { input: 0, cached_input: 0, output: 0 }', 'findtoken.yaml:3:12: equivalents.deepseek-chat.0: deepseek-chat is free and qwen-max is paid; they cannot stand in for each other. List only one kind under equivalents.deepseek-chat.'],
    ['equivalents:\n  deepseek-chat:\n    - qwen-max\n    - qwen-min', 'findtoken.yaml:4:7: equivalents.deepseek-chat.1: no model has this name. Did you mean qwen-max?'],
    ['equivalents:\n  depseek-chat: []', 'findtoken.yaml:2:3: equivalents.depseek-chat: no model has this name. Did you mean deepseek-chat?'],
    ['providers:\n  depseek: { api_key: secret-of-mine }', 'findtoken.yaml:2:3: providers.depseek.base_url: a provider that is not built in needs its address. Write for example base_url: https://api.example.com/v1, or mend the name.'],
    ['providers:\n  deepseek: { base_url: "https://me:secret-of-mine@api.deepseek.com" }', 'findtoken.yaml:2:25: providers.deepseek.base_url: expected an http or https address without user, password, query or fragment. Write for example https://api.example.com/v1.'],
    ['providers: deepseek', 'findtoken.yaml:1:12: providers: expected a mapping, found a text. Write names and values, indented below it.'],
  ];
  for (const [text, message] of cases) t.equal(refusal(t, text), message, JSON.stringify(text));
});

t.test('no refusal bears a secret', async (t) => {
  const secret = 'sk_live_51Habcdefghijklmnop';
  const odd = 'plain-looking.secret9';
  const cases: [string, Record<string, string>, string][] = [
    ['stripe: { secret_key: "sk_live_51Habcdefghijklmnop with a blank" }', {}, 'a wrong key, written'],
    ['stripe: { secret_key: "${KEY}" }', { KEY: `${odd} ${secret}` }, 'a wrong key, from a variable'],
    ['', { STRIPE_SECRET_KEY: `${odd}\n${secret}` }, 'a wrong key, from the default\'s variable'],
    ['', { DEEPSEEK_API_KEY: `${odd} ${secret}` }, 'a wrong provider key'],
    [`providers: { deepseek: { api_key: "${odd} x" } }`, {}, 'a wrong provider key, written'],
    [`providers: { deepseek: { api_key: [${odd}] } }`, {}, 'a provider key in a list'],
    [`providers: { deepseek: ${odd} }`, {}, 'a key one level too high'],
    ['server: { port: "${KEY}" }', { KEY: odd }, 'a variable in the wrong place'],
    [`server: { port: ${secret} }`, {}, 'a key in the wrong place'],
    [`stripe: { ${secret}: 1 }`, {}, 'a key as a name'],
    [`stripe:\n  secret_key: "${odd}\nlog: {}`, {}, 'a quote left open'],
    [`stripe:\n  secret_key: ${odd}: ${secret}`, {}, 'a colon too many'],
    [`stripe:\n  secret_key: *${odd}`, {}, 'an alias by accident'],
    [`stripe:\n  secret_key: @${odd}`, {}, 'a reserved sign'],
    [`stripe:\n  secret_key: !${odd} x`, {}, 'a tag by accident'],
    [`email: { smtp: "http://me:${odd}@mail.test" }`, {}, 'a mail server\'s password'],
  ];
  for (const [text, env, why] of cases) {
    const message = refusal(t, text, { env });
    t.not(message, 'taken', why);
    t.notMatch(message, odd, why);
    t.notMatch(message, '51Habcdefghijklmnop', why);
  }
  t.match(refusal(t, '', { env: { STRIPE_SECRET_KEY: 'a b' } }), /^environment STRIPE_SECRET_KEY: stripe\.secret_key: expected a text without blanks/);
  t.match(refusal(t, '', { env: { DEEPSEEK_API_KEY: 'a b' } }), /^environment DEEPSEEK_API_KEY: providers\.deepseek\.api_key: expected a text without blanks/);
});

t.test('the environment fills ${NAME} and ${NAME:-default}', async (t) => {
  const cases: [string, Record<string, string>, string, string][] = [
    ['${SENDER}', { SENDER: 'a@a.test' }, 'a@a.test', 'set'],
    ['${SENDER:-b@a.test}', { SENDER: 'a@a.test' }, 'a@a.test', 'set, with a default'],
    ['${SENDER:-b@a.test}', {}, 'b@a.test', 'not set, with a default'],
    ['${SENDER:-b@a.test}', { SENDER: '' }, 'b@a.test', 'empty, with a default'],
    ['${NAME}@${HOST:-a.test}', { NAME: 'ann' }, 'ann@a.test', 'two in one text'],
    ['$${x}@a.test', {}, '${x}@a.test', 'a plain ${'],
    ['$5@a.test', {}, '$5@a.test', 'a plain $'],
    ['${NAME}@a.test', { NAME: '${OTHER}' }, '${OTHER}@a.test', 'what a variable holds is not filled again'],
  ];
  const nested = { message: 'findtoken.yaml:1:16: email.from: the default of A holds another variable, and defaults do not nest. Write a plain text there, or set A.' };
  for (const env of [{}, { A: 'a@a.test' }, { B: 'b@a.test' }]) {
    for (const text of ['${A:-${B}}', '${A:-${B:-b@a.test}}', '${A:-$${B}}']) t.throws(() => load(t, `email: { from: "${text}" }`, { env }), nested, `${text} is never misread`);
  }
  for (const [text, env, from, why] of cases) t.equal(load(t, `email: { from: "${text}" }`, { env }).email.from, from, why);
  const typed = load(t, 'server: { port: "${P}" }\nregistration: { open: "${O}" }\nrouting: { timeout: "${T}" }\nmodels: { m: { provider: qwen, price: { input: "${I}", output: 1 }, context_window: "${W}" } }', { env: { P: '80', O: 'true', T: '5s', I: '0.5', W: '9000' } });
  t.match(typed, { server: { port: 80 }, registration: { open: true }, routing: { timeoutMs: 5_000 } }, 'a variable is a text, and numbers are read from it');
  t.match(typed.catalog.models.get('m'), { price: { input: 500_000n }, contextWindow: 9_000 }, 'in the catalogue too');
});

t.test('values are put into their units', async (t) => {
  const settings = load(t, `
server: { host: "::", port: 0, drain: 2m, hosts: [gw.internal, 10.0.0.1], cors_origins: ["https://App.example.com/", "app://obsidian.md", "chrome-extension://abcdefghijklmnop", "tauri://localhost:1420"] }
billing: { usage_fee: 0, recharge_fee: 2.75, byok_fee: "0.0001%", minimum_recharge: 0.5 }
limits: { body_bytes: 1MiB }
routing: { backoff: [0s, 250ms], timeout: 1h, stream_timeout: 10ms, retries: 0 }
stripe: { api_base: "http://127.0.0.1:9/", return_urls: ["https://a.test/back/"] }
email: { from: "Ann Bee <ann@a.test>", smtp: "smtp://me:pw@mail.test:587" }
`);
  t.match(settings, {
    server: { host: '::', port: 0, publicUrl: 'http://[::1]:0', drainMs: 120_000, hosts: ['gw.internal', '10.0.0.1'], corsOrigins: ['https://app.example.com', 'app://obsidian.md', 'chrome-extension://abcdefghijklmnop', 'tauri://localhost:1420'] },
    billing: { usageFee: 0n, rechargeFee: 27_500n, byokFee: 1n, minimumRecharge: 50_000_000n },
    limits: { bodyBytes: 1_048_576, requestsPerMinute: 600 },
    routing: { backoffMs: [0, 250], timeoutMs: 3_600_000, streamTimeoutMs: 10, retries: 0 },
    stripe: { apiBase: 'http://127.0.0.1:9', returnUrls: ['https://a.test/back'] },
    email: { from: 'Ann Bee <ann@a.test>', smtp: 'smtp://me:pw@mail.test:587' },
  });
});

t.test('nothing after a name leaves the default', async (t) => {
  t.equal(load(t, '').server.port, 8787, 'an empty file');
  t.equal(load(t, '# only a comment').server.port, 8787);
  t.equal(load(t, 'server:\n  port:\nmodels:\nequivalents:\nproviders:\n  deepseek:').server.port, 8787);
});

t.test('paths start at home or at the file that names them', async (t) => {
  const cases = [
    ['~/f.db', '/home/ann/f.db'],
    ['/srv/f.db', '/srv/f.db'],
    ['data/f.db', 'HERE/data/f.db'],
    ['../f.db', 'ABOVE/f.db'],
    ['~ann/f.db', 'HERE/~ann/f.db'],
  ] as const;
  for (const [written, read] of cases) {
    const settings = load(t, `database: { path: ${written} }\nsecrets: { master_key: "file:${written}" }`);
    const here = dirname(settings.file ?? '');
    const path = read.replace('HERE', here).replace('ABOVE', dirname(here));
    t.equal(settings.database.path, path, written);
    t.same(settings.secrets.masterKey, { kind: 'file', path }, written);
  }
  t.same(load(t, 'secrets: { master_key: env:FINDTOKEN_MASTER_KEY }').secrets.masterKey, { kind: 'env', name: 'FINDTOKEN_MASTER_KEY' });
  t.same(load(t, 'secrets: { master_key: keychain }').secrets.masterKey, { kind: 'keychain' });
  t.equal(loadSettings({ ...NOWHERE, env: { XDG_DATA_HOME: '/data' } }).database.path, '/data/findtoken/findtoken.db');
  t.equal(loadSettings({ ...NOWHERE, env: { XDG_DATA_HOME: 'data' } }).database.path, '/home/ann/.local/share/findtoken/findtoken.db', 'a relative XDG folder is ignored');
});

t.test('the command line wins over the file, and the public URL follows it', async (t) => {
  const text = 'server: { host: 10.0.0.1, port: 1 }';
  t.match(load(t, text, { overrides: { host: '0.0.0.0', port: 9000, sandbox: true } }), { server: { host: '0.0.0.0', port: 9000, publicUrl: 'http://127.0.0.1:9000' }, sandbox: true });
  t.match(load(t, text, { overrides: {} }), { server: { host: '10.0.0.1', port: 1, publicUrl: 'http://10.0.0.1:1' }, sandbox: false });
  t.equal(load(t, 'server: { public_url: "https://api.a.test/" }', { overrides: { port: 9000 } }).server.publicUrl, 'https://api.a.test', 'one that is written stays');
  for (const written of ['https://a.test/v1', 'https://a.test/v1/', 'https://a.test//v1']) t.equal(load(t, `server: { public_url: "${written}" }`).server.publicUrl, 'https://a.test', `${written}: without its /v1, for links lead below it`);
  t.equal(load(t, 'server: { public_url: "https://a.test/llm/v1" }').server.publicUrl, 'https://a.test/llm');
  t.equal(load(t, '', { overrides: { port: '9000' } }).server.port, 9000, 'as an option gives it');
  t.equal(load(t, 'sandbox: true', { overrides: { sandbox: false } }).sandbox, false);
  t.equal(refusal(t, '', { overrides: { port: 70_000 } }), '--port: server.port: expected a whole number from 0 to 65535, not 70000. Write for example port: 8787');
});

t.test('provider keys come from the file, else from the environment', async (t) => {
  const env = { DEEPSEEK_API_KEY: 'env-deepseek', ZHIPU_API_KEY: 'id.secret', MINIMAX_API_KEY: 'm', QWEN_API_KEY: 'q', KIMI_API_KEY: 'k\n', STEPFUN_API_KEY: '', ACME_API_KEY: 'never' };
  const keys = (text: string) => Object.fromEntries(load(t, text, { env }).providerKeys);
  t.same(keys(''), { deepseek: 'env-deepseek', zhipu: 'id.secret', minimax: 'm', qwen: 'q', kimi: 'k' }, 'a line break at the end is no part of a key');
  t.match(keys('providers: { deepseek: { api_key: of-the-file } }'), { deepseek: 'of-the-file' });
  t.notOk(Object.hasOwn(keys('providers: { deepseek: { api_key: "" } }'), 'deepseek'), 'an empty key is none, whatever the environment says');
  t.match(keys('providers: { deepseek: { name: Deep } }'), { deepseek: 'env-deepseek' }, 'a provider that says nothing of its key');
  t.notOk(Object.hasOwn(keys('providers: { acme: { base_url: "https://a.test" } }'), 'acme'), 'an added provider takes no variable by itself');
  t.match(keys('providers: { acme: { base_url: "https://a.test", api_key: "${ACME_API_KEY}" } }'), { acme: 'never' });
});

t.test('the catalogue is the built-in one with the operator\'s on top, read at its first use', async (t) => {
  const { catalog } = load(t, 'providers: { acme: { base_url: "https://a.test/v1/", api_key: k } }\nmodels: { mine: { provider: acme, price: { input: 1, output: 2 } } }\nequivalents: { deepseek-chat: [mine] }');
  t.equal(catalog.models.size, 41);
  t.equal(catalog.providers.get('acme')?.baseUrl, 'https://a.test/v1');
  t.notOk(JSON.stringify([...catalog.providers]).includes('api_key'), 'keys are no part of it');
  t.same(catalog.equivalents.get('deepseek-chat'), ['mine']);

  const cwd = t.testdir({ 'findtoken.yaml': 'models: { mine: {} }' });
  const late = loadSettings({ ...NOWHERE, cwd });
  t.equal(late.server.port, 8787, 'a command that needs no catalogue is not stopped by it');
  t.throws(() => late.catalog, SettingsError);
  t.throws(() => checkSettings(late), SettingsError, 'nor forgotten after the first refusal');
  t.equal(late.hasOwnCatalog, true);
  for (const text of ['server: { port: 1 }', '']) t.equal(loadSettings({ ...NOWHERE, cwd: t.testdir({ 'findtoken.yaml': text }) }).hasOwnCatalog, false, 'what is built in need not be read to know that it is good');
  t.equal(loadSettings(NOWHERE).hasOwnCatalog, false);
});

t.test('a command that reads no file and no catalogue does not load the YAML parser', async (t) => {
  const script = (use: string) => `
    import { createRequire } from 'node:module';
    import { loadSettings } from ${JSON.stringify(join(ROOT, 'src', 'settings', 'index.ts'))};
    const settings = loadSettings({ env: {}, cwd: '/nowhere', home: '/nowhere' });
    ${use};
    console.log(Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('/node_modules/yaml/')));`;
  const run = (use: string) => execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script(use)], {
    cwd: ROOT, encoding: 'utf8', env: { PATH: process.env['PATH'] },
  }).trim();
  t.equal(run('settings.server.port'), 'false');
  t.equal(run('settings.catalog'), 'true', 'the check can see it');
});

t.test('the sandbox\'s models are there while it is on', async (t) => {
  const sandboxCatalog = { providers: { sandbox: { base_url: 'http://sandbox.invalid' } }, models: { 'sandbox-chat': { provider: 'sandbox', price: { input: 1, output: 1 }, sandbox: true } } };
  t.equal(load(t, 'sandbox: true', { sandboxCatalog }).catalog.models.get('sandbox-chat')?.sandbox, true);
  t.equal(load(t, '', { sandboxCatalog }).catalog.models.has('sandbox-chat'), false);
  t.equal(load(t, 'models: { sandbox-chat: { price: { input: 2 } } }', { sandboxCatalog, overrides: { sandbox: true } }).catalog.models.get('sandbox-chat')?.price.input, 2_000_000n, 'an operator\'s word stands above it');
});

t.test('config show names each value\'s origin and masks secrets', async (t) => {
  const settings = load(t, 'server:\n  port: 9000\nbilling: { usage_fee: 4% }\nstripe:\n  webhook_secret: whsec_0123456789abcdef\nproviders: { zhipu: { api_key: short } }', {
    env: { STRIPE_SECRET_KEY: 'sk_test_0123456789abcdef', FINDTOKEN_SMTP_URL: 'smtp://me:password@mail.test', DEEPSEEK_API_KEY: 'sk-0123456789abcdef1234' },
    overrides: { host: '0.0.0.0' },
  });
  const rows = maskedSettings(settings);
  const shown = Object.fromEntries(rows.map(({ path, value, origin }) => [path, `${value} | ${origin}`]));
  t.match(shown, {
    'server.host': '0.0.0.0 | --host',
    'server.port': '9000 | findtoken.yaml:2:9',
    'server.public_url': '"http://127.0.0.1:9000" | default',
    'billing.usage_fee': '4% | findtoken.yaml:3:23',
    'billing.byok_fee': '5% | default',
    'database.path': '/home/ann/.local/share/findtoken/findtoken.db | default',
    'database.anchors': '/home/ann/.local/state/findtoken | default',
    'routing.backoff': '[1s, 2s, 4s] | default',
    'stripe.secret_key': 'sk_test_…cdef | environment STRIPE_SECRET_KEY',
    'stripe.webhook_secret': 'whsec_…cdef | findtoken.yaml:5:19',
    'email.smtp': 'smtp://… | environment FINDTOKEN_SMTP_URL',
    'providers.deepseek.api_key': 'sk-…1234 | environment DEEPSEEK_API_KEY',
    'providers.zhipu.api_key': '… | findtoken.yaml:6:32',
  });
  t.notMatch(JSON.stringify(rows), /0123456789|password|short/);
  const keys = describeSettings().map((row) => row.path).filter((path) => !path.includes('ID'));
  t.same(rows.map((row) => row.path).filter((path) => !path.startsWith('providers.')), keys, 'every key once, in the order of the documentation');
});

t.test('config show names what the file lays over the catalogue, and values in the types of JSON', async (t) => {
  const settings = load(t, `server: { port: "\${PORT:-9000}", hosts: [a.test] }
registration: { open: "\${OPEN:-true}" }
providers:
  acme: { base_url: "https://\${HOST:-acme.test}/v1", regions: { cn: "https://acme.cn" }, api_key: "\${ACME}" }
models:
  mine: { provider: acme, price: { input: 1, output: "2" }, source: sk-0123456789abcdef, drop: [top_p] }
  qwen-max: { force: { a: { token: "\${ACME}", "b c": ["x, y", sk-0123456789abcdef] }, n: 1, h: { Authorization: Bearer mine, apiKey: [mine] } } }
equivalents: { deepseek-chat: [mine, qwen-max], deepseek-coder: [] }
`, { env: { ACME: 'acme.0123456789abcdef' } });
  const rows = maskedSettings(settings).filter(({ origin }) => origin.startsWith('findtoken.yaml'));
  t.same(rows.map(({ path, value, plain, origin }) => [path, value, plain, origin.replace(/^findtoken\.yaml:(\d+):\d+$/, '$1')]), [
    ['server.port', '9000', 9000, '1'],
    ['server.hosts', '[a.test]', ['a.test'], '1'],
    ['registration.open', 'true', true, '2'],
    ['providers.acme.api_key', '…cdef', '…cdef', '4'],
    ['providers.acme.base_url', '"https://acme.test/v1"', 'https://acme.test/v1', '4'],
    ['providers.acme.regions', '{ cn: "https://acme.cn" }', { cn: 'https://acme.cn' }, '4'],
    ['models.mine.provider', 'acme', 'acme', '6'],
    ['models.mine.price', '{ input: 1, output: 2 }', { input: 1, output: '2' }, '6'],
    ['models.mine.source', '…', '…', '6'],
    ['models.mine.drop', '[top_p]', ['top_p'], '6'],
    ['models.qwen-max.force', '{ a: { token: "${ACME}", b c: ["x, y", …] }, n: 1, h: { Authorization: …, apiKey: […] } }', { a: { token: '${ACME}', 'b c': ['x, y', '…'] }, n: 1, h: { Authorization: '…', apiKey: ['…'] } }, '7'],
    ['equivalents.deepseek-chat', '[mine, qwen-max]', ['mine', 'qwen-max'], '8'],
    ['equivalents.deepseek-coder', '[]', [], '8'],
  ]);
  t.notMatch(JSON.stringify(maskedSettings(settings)), /0123456789/);
  const plain = Object.fromEntries(maskedSettings(load(t, '')).map((row) => [row.path, row.plain]));
  t.match(plain, { 'server.port': 8787, 'server.public_url': 'http://127.0.0.1:8787', sandbox: false, 'routing.backoff': ['1s', '2s', '4s'], 'billing.minimum_recharge': 10, 'billing.usage_fee': '5.5%', 'database.keep_requests': 'forever', 'stripe.secret_key': '' });
  t.equal(maskedSettings(load(t, 'models: { qwen-max: }\nequivalents:\nproviders: { qwen: { api_key: } }')).some(({ origin }) => origin !== 'default'), false, 'a name without a value says nothing');
});

t.test('the example file and the page document what the code does', async (t) => {
  const example = readFileSync(join(ROOT, 'findtoken.example.yaml'), 'utf8');
  const page = readFileSync(join(ROOT, 'docs', 'configuration.md'), 'utf8');

  t.test('the example file changes nothing', async (t) => {
    t.same(comparable(load(t, example)), comparable(loadSettings(NOWHERE)));
    const env = { XDG_DATA_HOME: '/data', STRIPE_SECRET_KEY: 'sk_test_1', QWEN_API_KEY: 'q', FINDTOKEN_SMTP_URL: 'smtp://a.test' };
    t.same(comparable(load(t, example, { env })), comparable(loadSettings({ ...NOWHERE, env })), 'nor where the environment speaks');
    t.equal(load(t, example.replace('port: 8787', 'port: 9000')).server.publicUrl, 'http://127.0.0.1:9000', 'and what is changed in it takes along what follows it');
  });

  t.test('its commented parts are good too', async (t) => {
    const uncommented = example.replace(/^ {2}# (example|example-chat):/gm, '  $1:').replace(/^ {2}# (?= )(.*)$/gm, '  $1').replace(/^ {2}# (example-chat: \[)/gm, '  $1');
    const { catalog } = load(t, uncommented, { env: { EXAMPLE_API_KEY: 'k' } });
    t.match(catalog.models.get('example-chat'), { provider: 'example', upstream: 'example-chat-v2', drop: ['temperature', 'top_p'] });
    t.same(catalog.equivalents.get('example-chat'), ['deepseek-chat', 'qwen-max']);
  });

  const written: unknown = parse(example);
  for (const { path, default: fallback, doc, expects, example: sample } of describeSettings()) {
    t.ok(page.includes(`| \`${path}\` | ${fallback === '' ? '' : `\`${fallback}\``} | ${expects} | ${doc} |\n`), `the page says what ${path} is`);
    if (path.includes('ID')) continue;
    t.ok(example.includes(`# ${doc}\n`), `the example says what ${path} is`);
    const value = path.split('.').reduce((data: unknown, name) => (data !== null && typeof data === 'object' ? Reflect.get(data, name) as unknown : undefined), written);
    // Written, it would stay where it is when host and port are changed.
    if (path === 'server.public_url') t.match(example, `  # public_url: ${fallback}\n`);
    else t.same(value, parse(fallback), `the example has the default of ${path}`);
    const [section = '', key] = path.split('.');
    const text = key === undefined ? `${section}: ${sample}` : `${section}:\n  ${key}: ${sample}`;
    t.equal(refusal(t, text, { env: { STRIPE_SECRET_KEY: 'sk', STRIPE_WEBHOOK_SECRET: 'wh' } }), 'taken', `the example of ${path} is good`);
  }
  for (const line of page.matchAll(/^findtoken\.yaml:.*$/gm)) {
    const texts = ['server:\n  prot: 1', '\n\n\nrouting:\n  timeout: 30'];
    t.ok(texts.some((text) => refusal(t, text) === line[0]), `the page quotes a refusal as it is: ${line[0]}`);
  }
  for (const [, text] of page.matchAll(/```yaml\n(.*?)```/gs)) t.equal(refusal(t, text ?? '', { env: { EXAMPLE_API_KEY: 'k' } }), 'taken', 'the page\'s examples are good');
});

t.test('a file of Windows and a file with a byte order mark are files', async (t) => {
  const cwd = t.testdir({});
  mkdirSync(join(cwd, 'a'));
  writeFileSync(join(cwd, 'a', 'findtoken.yaml'), '\uFEFFserver:\r\n  port: 9\r\n');
  t.equal(loadSettings({ ...NOWHERE, cwd: join(cwd, 'a') }).server.port, 9);
});
