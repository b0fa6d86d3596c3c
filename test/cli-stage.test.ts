import { spawn, spawnSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import { displayWidth } from '../src/cli/printable.ts';
import { openBelow } from '../src/cli/screens/below.ts';
import { stageText, typedSecret } from '../src/cli/screens/stage.tsx';
import type { StageState } from '../src/cli/stage.ts';
import { openDesk } from './support/command-line.ts';
import { startServe } from './support/process.ts';
import { programOf } from './support/program.ts';

const FRAMES = new URL('fixtures/frames/', import.meta.url);
const isWriting = process.env['FRAMES'] === 'write';
const NO_KEY = { ctrl: false, return: false, backspace: false, delete: false };

const recharge: StageState = {
  title: 'Recharge',
  facts: [['account', 'ann@example.com'], ['recharge', 'rch_01m879s70pry46tgn2hac81x6t'], ['pay', '$20.00'], ['fee', '$1.10'], ['credits', '$18.90'], ['address', `https://checkout.stripe.com/c/pay/cs_test_${'a1'.repeat(60)}`]],
  picture: Array.from({ length: 19 }, () => '█'.repeat(37)).join('\n'),
  steps: [{ name: 'waiting for the payment', state: 'running', forMs: 61_000 }],
  hint: 'Ctrl-C leaves; the payment is noticed without you, or by `findtoken recharges sync`.',
};
const byok: StageState = {
  title: 'Register a key',
  facts: [['provider', 'DeepSeek'], ['name', 'a\x1b[31mred\u202egnp']],
  steps: [{ name: 'ask the provider whether it is good', state: 'warned', note: 'DeepSeek could not be reached (dns); check the network, then try again.' }, { name: 'keep it, encrypted', state: 'waiting' }],
  asking: { what: 'API key of DeepSeek', isTyping: true },
};
const init: StageState = {
  title: 'findtoken: first run',
  facts: [],
  steps: [{ name: 'settings', state: 'done', note: '/home/ann/findtoken.yaml (written)' }, { name: 'database', state: 'failed', note: 'it cannot be opened' }, { name: 'key', state: 'waiting' }],
};

t.test('each stage is as it was agreed, cell by cell', async (t) => {
  for (const [name, state] of Object.entries({ recharge, byok, init })) {
    for (const [columns, rows] of [[80, 24], [200, 50]] as const) {
      const lines = stripVTControlCharacters(stageText(state, { columns, rows, colour: false })).split('\n').map((line) => line.trimEnd());
      t.ok(lines.length <= rows && lines.every((line) => displayWidth(line) <= columns), `${name} fits ${columns}×${rows}`);
      t.notMatch(lines.join('\n'), /[\u202e\x1b]/, 'what a name would do to the terminal is shown instead');
      const file = fileURLToPath(new URL(`stage-${name}-${columns}x${rows}.txt`, FRAMES));
      if (isWriting) writeFileSync(file, `${lines.join('\n')}\n`);
      t.equal(`${lines.join('\n')}\n`, readFileSync(file, 'utf8'), `${name} at ${columns}×${rows}`);
    }
  }
});

t.test('a picture that does not fit is left out, and what to open stays', async (t) => {
  const picture = recharge.picture ?? '';
  t.ok(stageText(recharge, { columns: 200, rows: 50, colour: false }).includes(picture.split('\n', 1)[0] ?? 'x'));
  for (const [columns, rows] of [[200, 24], [36, 60]] as const) {
    const text = stageText(recharge, { columns, rows, colour: false });
    t.notOk(text.includes('██████'), `${columns}×${rows}`);
    t.match(text.replace(/\s/g, ''), /address.*checkout\.stripe\.com/s, 'every character of the address is there');
  }
});

t.test('what stood there before a screen stays, and its last line is ended', async (t) => {
  const written: string[] = [];
  const terminal = Object.assign(new EventEmitter(), { columns: 40, rows: 5, write: (text: string | Uint8Array) => written.push(String(text)) > 0 });
  const below = openBelow(terminal);
  below.stdout.write('\x1b[2J\x1b[3J\x1b[Hone\ntwo\x1b[?25h');
  t.same(written.splice(0), ['\x1b[2J\x1b[Hone\ntwo\x1b[?25h'], 'what scrolled away is not erased');
  terminal.columns = 20;
  let resizes = 0;
  below.stdout.on('resize', () => (resizes += 1));
  terminal.emit('resize');
  t.same([below.stdout.columns, below.stdout.rows, resizes], [20, 5, 1], 'Ink learns of another size');
  below.leave();
  below.leave();
  t.same(written.splice(0), ['\n'], 'once');
  t.equal(terminal.listenerCount('resize'), 0);
  const whole = openBelow(terminal);
  whole.stdout.write('one\n\x1b[?25h');
  whole.leave();
  t.same(written, ['one\n\x1b[?25h'], 'a line that is ended is left as it is');
});

t.test('without colour none is asked for, and signs say what colour would', async (t) => {
  t.notMatch(stageText(init, { columns: 80, rows: 24, colour: false }), /\x1b\[(3[0-7]|9[0-7]|2)m/);
  t.match(stripVTControlCharacters(stageText(init, { columns: 80, rows: 24, colour: true })), /✓ settings[^]*✗ database[^]*· key/);
});

t.test('a secret is typed, pasted and corrected, and never repeated', async (t) => {
  t.same(typedSecret('sk-', 'a', NO_KEY), { secret: 'sk-a' });
  t.same(typedSecret('', 'sk-pasted\n', NO_KEY), { secret: 'sk-pasted', end: 'enter' }, 'the line end of a paste ends it');
  t.same(typedSecret('sk-', 'b\x1bc', NO_KEY), { secret: 'sk-bc' }, 'controls are no part of it');
  t.same(typedSecret('ab', '', { ...NO_KEY, backspace: true }), { secret: 'a' });
  t.same(typedSecret('ab', '', { ...NO_KEY, delete: true }), { secret: 'a' });
  t.same(typedSecret('ab', '', { ...NO_KEY, return: true }), { secret: 'ab', end: 'enter' });
  t.same(typedSecret('ab', 'd', { ...NO_KEY, ctrl: true }), { secret: 'ab', end: 'enter' });
  t.same(typedSecret('ab', 'c', { ...NO_KEY, ctrl: true }), { secret: 'ab', end: 'interrupt' });
  t.same(typedSecret('ab', 'x', { ...NO_KEY, ctrl: true }), { secret: 'ab' });
  const asked = stageText(byok, { columns: 80, rows: 24, colour: false });
  t.match(asked, /\(not shown\): …/, 'not even its length');
});

/** A terminal of util-linux around a command. */
const noScript = spawnSync('script', ['--version']).status === 0 ? false : 'script (util-linux) is not installed';

const ASKED = /\(not shown\):/;

t.test('on a terminal', { skip: noScript }, async (t) => {
  const desk = openDesk(t);
  /** Types `answer.text`, once, when the screen shows `answer.when`. */
  const onTerminal = (args: readonly string[], answer?: { readonly when: RegExp; readonly text: string }, then: (seen: string) => Promise<void> = async () => undefined, size = 'cols 100 rows 40', TERM = 'xterm-256color'): Promise<{ readonly code: number | null; readonly seen: string }> => {
    const program = programOf(args);
    const line = [program.file, ...program.args].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qefc', `stty ${size}; sh -c 'echo $$ > pid; exec ${line.replaceAll("'", '"')}'; code=$?; stty -a; exit $code`, '/dev/null'], { cwd: desk.home, env: { HOME: desk.home, PATH: process.env['PATH'], TERM, NO_COLOR: '1' } });
    let seen = '';
    let isTyped = answer === undefined;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
      if (isTyped || answer?.when.test(stripVTControlCharacters(seen)) !== true) return;
      isTyped = true;
      if (answer.text !== '') child.stdin.write(answer.text);
      void then(stripVTControlCharacters(seen));
    });
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, seen: stripVTControlCharacters(seen) })));
  };

  await t.test('a wrong word is told before there is a screen, and nothing is made', async (t) => {
    for (const [args, why, exit = 2] of [[['--port', 'x'], /--port is a whole number/], [['--provider', 'nope'], /no provider "nope"/, 3], [['--key-name', ''], /a name has/], [['--email', 'nope'], /not an e-mail address/], [['--provider', 'qwen', '--from-env', 'NOPE'], /"NOPE" of --from-env/]] as const) {
      const { code, seen } = await onTerminal(['init', ...args]);
      t.match(seen, why);
      t.equal(code, exit, seen);
      t.notMatch(seen, /first run/);
    }
    t.notOk(existsSync(join(desk.home, 'findtoken.yaml')));
  });

  await t.test('init tells its steps, and the key below them', async (t) => {
    const { code, seen } = await onTerminal(['init']);
    t.equal(code, 0, seen);
    for (const step of ['settings', 'database', 'master key', 'account', 'providers', 'key']) t.match(seen, new RegExp(`✓ ${step}\\b`), step);
    t.match(seen, /Authorization: Bearer sk-ft_/);
  });

  await t.test('a terminal whose cursor cannot be moved gets words', async (t) => {
    const { code, seen } = await onTerminal(['init'], undefined, undefined, undefined, 'dumb');
    t.equal(code, 0, seen);
    t.match(seen, /settings +\S+findtoken\.yaml\s/);
    t.notMatch(seen, /first run|✓/);
    const asked = await onTerminal(['byok', 'register', 'zhipu', '--name', 'no', '--account', 'me@localhost'], { when: ASKED, text: '\x03' }, undefined, undefined, 'dumb');
    t.match(asked, { code: 130, seen: /^API key of \S+ \(not shown\): \r?\nfindtoken: interrupted; nothing was changed\./ });
    t.match(await onTerminal(['stats'], undefined, undefined, undefined, 'dumb'), { code: 0, seen: /no calls yet/ }, 'one frame');
  });

  await t.test('byok register asks without repeating, tells what the provider said, and keeps the key', async (t) => {
    const secret = 'sk-0123456789abcdef';
    const { code, seen } = await onTerminal(['byok', 'register', 'deepseek', '--name', 'work', '--no-test', '--account', 'me@localhost'], { when: ASKED, text: `${secret}\r` });
    t.equal(code, 0, seen);
    t.match(seen, /✓ keep it, encrypted {2}sk-…cdef/);
    t.notMatch(seen, secret, 'the key is nowhere on the screen');
  });

  await t.test('byok register refuses a wrong word without a screen', async (t) => {
    for (const [args, why] of [[['--name', 'x', '--from-env', 'NOPE'], /"NOPE" of --from-env/], [['--name', ''], /a name has/]] as const) {
      const { code, seen } = await onTerminal(['byok', 'register', 'qwen', ...args, '--account', 'me@localhost']);
      t.match(seen, why);
      t.equal(code, 2, seen);
      t.notMatch(seen, /Register a key/);
    }
  });

  await t.test('Ctrl-C at the question ends it at once, and nothing is kept', async (t) => {
    const { code, seen } = await onTerminal(['byok', 'register', 'qwen', '--name', 'no', '--account', 'me@localhost'], { when: ASKED, text: '\x03' });
    t.equal(code, 130, seen);
    t.match(seen, /interrupted; nothing was changed/);
    t.notMatch(await desk.run(['byok', 'list', '--account', 'me@localhost']), { out: /qwen/ });
  });

  await t.test('on a terminal that it fills, what is said afterwards has a line of its own', async (t) => {
    for (const size of ['cols 40 rows 4', 'cols 40 rows 5', 'cols 40 rows 6', 'cols 40 rows 7']) {
      const { code, seen } = await onTerminal(['byok', 'register', 'qwen', '--name', 'no', '--account', 'me@localhost'], { when: ASKED, text: '\x03' }, undefined, size);
      t.equal(code, 130, seen);
      t.match(seen, /(^|\n)findtoken: interrupted; nothing was changed/, size);
    }
  });

  await t.test('a signal ends it like Ctrl-C: the terminal is as it was', async (t) => {
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
      const { code, seen } = await onTerminal(['byok', 'register', 'qwen', '--name', 'no', '--account', 'me@localhost'], { when: ASKED, text: '' }, async () => void process.kill(Number(readFileSync(join(desk.home, 'pid'), 'utf8')), signal));
      t.equal(code, 130, `${signal}: ${seen}`);
      t.match(seen, /findtoken: interrupted\.[^]*[ ;]icanon[^]*[ ;\n]echo /, `${signal}: lines are lines, and typing is seen`);
    }
  });

  await t.test('a question before something is destroyed: Ctrl-C, no and yes', async (t) => {
    const ledger = await desk.ledger();
    const account = await ledger.findAccount('me@localhost');
    await ledger.createKey({ id: 'key_hostile', accountId: account?.id ?? '', name: 'a\x1b[31mred\u202egnp', hash: new Uint8Array(32), last4: 'abcd', nowMs: Date.now() });
    await ledger.close();
    const revoke = ['keys', 'revoke', 'key_hostile', '--account', 'me@localhost'];
    const asked = /\[y\/N\]/;
    const left = await onTerminal(revoke, { when: asked, text: '\x03' });
    t.match(left, { code: 130, seen: /a\\u001b\[31mred\\u202egnp[^]*interrupted; nothing was changed/ }, 'the name is shown, not obeyed');
    t.notMatch(left.seen, '\u202e');
    t.match(await onTerminal(revoke, { when: asked, text: 'n\r' }), { code: 1, seen: /nothing was changed/ });
    t.match(await onTerminal(revoke, { when: asked, text: '\x04' }), { code: 1, seen: /nothing was changed/ }, 'Ctrl-D is no');
    t.match(await onTerminal(revoke, { when: asked, text: 'y\r' }), { code: 0, seen: /Revoked key_hostile/ });
  });

  await t.test('recharge waits, and Ctrl-C leaves it to be noticed later', async (t) => {
    writeFileSync(join(desk.home, 'findtoken.yaml'), 'sandbox: true\nserver: { port: 0 }\n');
    const daemon = await startServe(desk.home);
    t.teardown(() => daemon.end('SIGTERM'));
    const { code, seen } = await onTerminal(['recharge', '20', '--account', 'me@localhost'], { when: /waiting for the payment, \d+s so far/, text: '\x03' });
    t.equal(code, 130, seen);
    t.match(seen, /address +http[^]*checkout/);
    t.match(seen, /the payment is noticed without you/);

    const checkout = new RegExp(`(${daemon.url}/sandbox/checkout/\\w+)`);
    const paid = onTerminal(['recharge', '20', '--account', 'me@localhost'], {
      when: /waiting for the payment, \d+s so far/,
      text: '',
    }, async (shown) => void (await fetch(checkout.exec(shown)?.[1] ?? '', { method: 'POST' })));
    t.match(await paid, { code: 0, seen: /✓ waiting for the payment {2}paid: \$18\.90 received, the balance is \$28\.90/ });
  });
});
