import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import { displayWidth } from '../src/cli/printable.ts';
import { openPage } from '../src/cli/screens/page.ts';
import { pressed, statsText } from '../src/cli/screens/stats-app.tsx';
import { FIRST_VIEW } from '../src/cli/screens/stats-view.tsx';
import type { View } from '../src/cli/screens/stats-view.tsx';
import { errorShare, percentile, short, shortMs, sparkline } from '../src/cli/stats/figures.ts';
import { SAMPLES, StatsReader } from '../src/cli/stats/reader.ts';
import { book, openDesk } from './support/command-line.ts';
import { programOf } from './support/program.ts';
import { fixedFrame } from './support/stats-frame.ts';

const FRAMES = new URL('fixtures/frames/', import.meta.url);
/** Writes the frames anew instead of comparing them: look at the difference before it is committed. */
const isWriting = process.env['FRAMES'] === 'write';

/** file, columns, rows, what the person chose */
const golden: readonly (readonly [string, number, number, Partial<View>])[] = [
  ['overview-80x24', 80, 24, {}],
  ['overview-200x50', 200, 50, {}],
  ['overview-60x15', 60, 15, {}],
  ['models-80x24', 80, 24, { pane: 'models' }],
  ['keys-80x24', 80, 24, { pane: 'keys' }],
  ['providers-80x24', 80, 24, { pane: 'providers' }],
  ['calls-80x24', 80, 24, { pane: 'calls', skip: 3 }],
  ['calls-filtered-200x50', 200, 50, { pane: 'calls', filter: 'unavailable', typing: true }],
  ['help-80x24', 80, 24, { help: true, paused: true }],
];

t.test('each frame is as it was agreed, cell by cell', async (t) => {
  for (const [name, columns, rows, view] of golden) {
    const lines = stripVTControlCharacters(statsText(fixedFrame(), { columns, rows, colour: false, view })).split('\n').map((line) => line.trimEnd());
    t.ok(lines.length <= rows, `${name}: no more lines than the terminal has`);
    t.ok(lines.every((line) => displayWidth(line) <= columns), `${name}: no line is wider than the terminal`);
    t.notMatch(lines.join('\n'), /[\u202e\x1b]/, `${name}: what a name would do to the terminal is shown instead`);
    const file = fileURLToPath(new URL(`${name}.txt`, FRAMES));
    if (isWriting) writeFileSync(file, `${lines.join('\n')}\n`);
    t.equal(`${lines.join('\n')}\n`, readFileSync(file, 'utf8'), name);
  }
});

t.test('a frame fits every terminal', async (t) => {
  for (const columns of [20, 40, 79, 80, 149, 150, 300]) {
    for (const rows of [5, 12, 19, 20, 60]) {
      const lines = stripVTControlCharacters(statsText(fixedFrame(), { columns, rows, colour: false })).split('\n');
      t.ok(lines.length <= rows && lines.every((line) => displayWidth(line) <= columns), `${columns}×${rows}`);
    }
  }
});

t.test('what was spent today is rounded half up to cents, and told in full below a cent', async (t) => {
  /** 1e-8 USD, shown */
  for (const [cost, shown] of [[2_797_800n, '$0.03'], [2_499_999n, '$0.02'], [2_500_000n, '$0.03'], [99_999_999n, '$1.00'], [1_000_000n, '$0.01'], [997_800n, '$0.009978'], [0n, '$0.00']] as const) {
    const frame = fixedFrame();
    t.match(stripVTControlCharacters(statsText({ ...frame, today: { ...frame.today, cost } }, { columns: 80, rows: 24, colour: false })), `${shown} today`);
  }
});

t.test('below 80×20 the cards become two lines', async (t) => {
  for (const [columns, rows, isRoomy] of [[80, 20, true], [80, 19, false], [79, 20, false]] as const) {
    const text = stripVTControlCharacters(statsText(fixedFrame(), { columns, rows, colour: false }));
    t.equal(text.includes('╭'), isRoomy, `${columns}×${rows}`);
    t.match(text, isRoomy ? /│ requests +\S+\/s │/ : /requests \S+\/s · tokens/);
  }
});

t.test('nothing is told by colour alone, and without colour there is none', async (t) => {
  const plain = statsText(fixedFrame(), { columns: 120, rows: 40, colour: false });
  t.notMatch(plain, /\x1b\[(3[0-7]|9[0-7]|2)m/, 'no colour is asked for');
  const words = stripVTControlCharacters(plain);
  t.match(words, /✗ kimi +down +12s/);
  t.match(words, /◐ zhipu +resting +4s/);
  t.match(words, /◐ minimax +trying +now/);
  t.match(words, /✗ providers_una…/);
  t.match(words, /! aborted/);
  const { daemon: _, ...rest } = fixedFrame();
  t.match(stripVTControlCharacters(statsText({ ...rest, daemon: undefined }, { columns: 80, rows: 24, colour: false })), /○ no daemon {2}start it with findtoken serve/);
});

t.test('keys do what the help says', async (t) => {
  const type = (keys: readonly (string | Parameters<typeof pressed>[2])[], from: View = FIRST_VIEW): View | undefined =>
    keys.reduce<View | undefined>((view, key) => (view === undefined ? undefined : typeof key === 'string' ? pressed(view, key, {}) : pressed(view, '', key)), from);
  /** keys, what becomes of the view, why */
  const cases: readonly (readonly [readonly (string | Parameters<typeof pressed>[2])[], Partial<View> | undefined, string])[] = [
    [[{ tab: true }], { pane: 'models' }, 'tab goes on'],
    [[{ tab: true, shift: true }], { pane: 'calls' }, 'and back, round the corner'],
    [['4'], { pane: 'accounts' }, 'a number goes there'],
    [['9'], { pane: 'overview' }, 'a number without a pane does nothing'],
    [['6', { downArrow: true }, { downArrow: true }, { upArrow: true }], { pane: 'calls', skip: 1 }, 'arrows scroll'],
    [[{ upArrow: true }], { skip: 0 }, 'not above the first'],
    [['6', { downArrow: true }, '2'], { pane: 'models', skip: 0 }, 'another pane begins at its top'],
    [['p'], { paused: true }, 'p pauses'],
    [['p', 'p'], { paused: false }, 'and goes on'],
    [['/', 'q', 'p', '2'], { typing: true, filter: 'qp2', paused: false, pane: 'overview' }, 'while a filter is typed, keys are its letters'],
    [['/', '价', '格', { backspace: true }], { filter: '价' }, 'a wide letter goes as one'],
    [['/', 'x\x1b[31m\n'], { filter: 'x[31m' }, 'what is pasted brings no control characters'],
    [['/', 'qwen', { return: true }, 'p'], { typing: false, filter: 'qwen', paused: true }, 'Enter keeps the filter'],
    [['/', 'qwen', { escape: true }], { typing: false, filter: '' }, 'Esc drops it'],
    [['?'], { help: true }, 'help'],
    [['?', '2'], { help: false, pane: 'models' }, 'any pane leaves the help'],
    [['q'], undefined, 'q leaves'],
  ];
  for (const [keys, becomes, why] of cases) {
    const view = type(keys);
    if (becomes === undefined) t.equal(view, undefined, why);
    else t.match(view, becomes, why);
  }
  t.equal(pressed({ ...FIRST_VIEW, typing: true }, 'c', { ctrl: true }), undefined, 'Ctrl-C leaves even while a filter is typed');
});

t.test('the page paints what has changed, and is left as it was found', async (t) => {
  const written: string[] = [];
  const terminal = { columns: 80, rows: 24, write: (text: string | Uint8Array) => written.push(String(text)) > 0 };
  const page = openPage(terminal);
  t.match(written.splice(0).join(''), /^\x1b\[\?1049h/, 'the other page');
  page.stdout.write('one\ntwo\nthree');
  t.match(written.splice(0).join(''), /one.*two.*three/s);
  page.stdout.write('one\n2\nthree');
  const second = written.splice(0).join('');
  t.match(second, /\x1b\[2;1H2\x1b/);
  t.notMatch(second, /one|three/, 'only the line that is another one');
  page.stdout.write('one\n2\nthree');
  t.same(written.splice(0), [], 'the same frame writes nothing');
  page.stdout.write('one');
  t.match(written.splice(0).join(''), /\x1b\[2;1H\x1b\[K\x1b\[3;1H\x1b\[K/, 'lines that are gone are cleared');
  page.forget();
  page.stdout.write('one');
  t.match(written.splice(0).join(''), /one/, 'after another size everything is painted');
  terminal.columns = 200;
  t.equal(page.stdout.columns, 200, 'Ink learns of the new width');
  page.leave();
  page.leave();
  page.stdout.write('late');
  t.same(written, ['\x1b[?25h\x1b[?1049l'], 'left once; a late frame is not painted on the first page');
});

t.test('figures are short and right', async (t) => {
  t.equal(sparkline([0, 1, 2, 4, 8], 6), '  ▁▂▄█', 'nothing is a blank, the highest is full');
  t.equal(sparkline([0, 0], 3), '   ');
  t.equal(sparkline([1, 2, 3], 2), '▆█', 'the newest, where there are more than fit');
  t.equal(sparkline([1], 0), '');
  const ranks = [[[], 50, undefined], [[7], 95, 7], [[4, 1, 3, 2], 50, 2], [[1, 2, 3, 4], 100, 4], [[1, 2, 3, 4], 95, 4]] as const;
  for (const [values, percent, value] of ranks) t.equal(percentile(values, percent), value);
  const counts = [[0, '0'], [0.25, '0.25'], [12.34, '12.3'], [999, '999'], [1_200, '1.2k'], [9_990, '9.9k'], [34_567, '34k'], [5_600_000, '5.6M'], [2e9, '2G']] as const;
  for (const [count, text] of counts) t.equal(short(count), text);
  const times = [[undefined, '–'], [812.4, '812 ms'], [1_234, '1.2 s'], [34_000, '34 s']] as const;
  for (const [ms, text] of times) t.equal(shortMs(ms), text);
  t.equal(errorShare({ requests: 0, errors: 0 }), '0.0 %');
  t.equal(errorShare({ requests: 3, errors: 1 }), '33.3 %');
});

t.test('a look counts what ended since the last one, from the rollups', async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  await desk.json('credits', 'grant', '10', '--note', 'x');
  const key = await desk.json('keys', 'create', '--name', 'laptop');
  const ledger = await desk.ledger();
  t.teardown(() => ledger.close());
  const account = await ledger.findAccount('ann@example.com');
  const ids = { accountId: account?.id ?? '', keyId: String(key['id']) };
  let nowMs = Date.UTC(2026, 10, 23, 12, 0, 30);
  const reader = new StatsReader({ ledger, configured: ['deepseek'], nowMs: () => nowMs });
  // book() says 812 ms of latency, so these ended 5 s ago.
  await book(ledger, { id: 'req_1', ...ids, prompt: 1_000, completion: 500, atMs: nowMs - 5_812 });
  await book(ledger, { id: 'req_2', ...ids, prompt: 10, completion: 0, atMs: nowMs - 5_812, status: 'providers_unavailable' });
  const first = await reader.look();
  t.equal(first.samples.length, SAMPLES);
  t.match(first.samples[SAMPLES - 6], { requests: 2, errors: 1, tokens: 1_510 }, 'the first look finds the seconds before it in the rows');
  t.match(first.timing, { p50Ms: 812, p95Ms: 812, firstByteP50Ms: 90 });
  t.match(first.calls, [{ key: 'laptop', account: 'ann@example.com' }, { id: /req_/ }], 'keys and accounts bear their names');
  t.match(first.today, { requests: 2, errors: 1, tokens: 1_510 });
  t.equal(first.daemon, undefined);
  nowMs += 1_000;
  await book(ledger, { id: 'req_3', ...ids, prompt: 7, completion: 3, atMs: nowMs });
  const second = await reader.look();
  t.match(second.samples.at(-1), { requests: 1, errors: 0, tokens: 10 });
  t.equal(second.calls[0]?.id, 'req_3');
  nowMs += 4_000;
  t.match((await reader.look()).samples.slice(-5), [{ requests: 1 }, { requests: 0 }, { requests: 0 }, { requests: 0 }, { requests: 0 }], 'a late look covers its seconds');
  await ledger.publish({ pid: 1, version: '1.2.3', url: 'http://x', startedMs: nowMs - 5_000, beatMs: nowMs, detail: JSON.stringify({ in_flight: 3, sandbox: true, health: [] }) });
  t.match((await reader.look()).daemon, { version: '1.2.3', inFlight: 3, sandbox: true, upMs: 5_000 });
});

t.test('without a terminal there is one frame, or one document', async (t) => {
  const desk = openDesk(t);
  t.match(await desk.run(['stats']), { code: 1, err: /no database.*findtoken/ });
  await desk.json('accounts', 'create', 'ann@example.com');
  const frame = await desk.run(['stats'], { env: { CI: '', FORCE_COLOR: '1' } });
  t.match(frame, { code: 0, err: '', out: /^findtoken {2}○ no daemon[^]*models today[^]*no calls yet\n$/ });
  t.notMatch(frame.out, '\x1b', 'a pipe gets no escapes');
  t.match(await desk.run(['stats', '--once', '--width', '40']), { code: 0, out: /^findtoken/ });
  t.match(await desk.run(['stats', '--width', '40']), { code: 2, err: /--width goes with --once/ });
  const document = await desk.json('stats');
  t.same(Object.keys(document), ['object', 'created', 'running', 'daemon', 'last_minute', 'today', 'latency_ms', 'first_byte_ms', 'models', 'keys', 'accounts', 'providers', 'calls'], 'field names are an agreement');
  t.match(document, { object: 'stats', running: false, daemon: null, today: { requests: 0, cost: 0, cost_exact: '0.00000000' }, latency_ms: { p50: null }, calls: [] });
  const loaded = await desk.packagesOf(['stats', '--json']);
  t.notOk(loaded.has('ink'), 'a document needs no screen');
});

/** A terminal of util-linux around a command. */
const noScript = spawnSync('script', ['--version']).status === 0 ? false : 'script (util-linux) is not installed';

t.test('the live screen leaves the terminal as it was, whatever ends it', { skip: noScript, timeout: 350_000 }, async (t) => {
  const desk = openDesk(t);
  await desk.json('accounts', 'create', 'ann@example.com');
  const { file, args } = programOf(['stats']);
  const line = [file, ...args].map((word) => `'${word}'`).join(' ');
  const bug = `process.on('SIGUSR2', () => { throw new Error('planted'); })`;
  writeFileSync(join(desk.home, 'live.sh'), `stty cols 80 rows 24\nsh -c 'echo $$ > pid; exec ${line.replaceAll("'", '"')}'\necho "ended $?"\nstty -a\n`);
  /** why, what is typed or sent, the exit code */
  const cases: readonly (readonly [string, { readonly type: string } | { readonly send: NodeJS.Signals }, number])[] = [
    ['q', { type: 'q' }, 0],
    ['Ctrl-C', { type: '\x03' }, 130],
    ['SIGTERM', { send: 'SIGTERM' }, 143],
    ['SIGHUP', { send: 'SIGHUP' }, 129],
    ['a crash', { send: 'SIGUSR2' }, 1],
  ];
  for (const [why, end, code] of cases) {
    const child = spawn('script', ['-qefc', 'sh live.sh', '/dev/null'], { cwd: desk.home, env: { HOME: desk.home, PATH: process.env['PATH'], TERM: 'xterm-256color', NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(bug)}` } });
    let seen = '';
    let isTold = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
      if (isTold || !seen.includes('no calls yet')) return;
      isTold = true;
      if ('type' in end) child.stdin.write(end.type);
      else process.kill(Number(readFileSync(join(desk.home, 'pid'), 'utf8')), end.send);
    });
    await new Promise((resolve) => child.once('close', resolve));
    const [, after = ''] = seen.split('\x1b[?1049h');
    t.match(after, /\x1b\[\?25h\x1b\[\?1049l[^]*ended/, `${why}: back on the first page, with its cursor`);
    t.match(after, new RegExp(`ended ${code}\\b`), `${why}: exit ${code}`);
    t.match(after, /[ ;]icanon[^]*[ ;\n]echo /, `${why}: lines are lines, and typing is seen`);
  }
});
