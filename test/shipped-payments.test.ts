// The program as it is shipped, with a till beside it: the other tests of payments run on the sources, which get their packages from npm.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { openDesk } from './support/command-line.ts';
import { startServe } from './support/process.ts';
import { openStripe } from './support/stripe.ts';

t.test('a recharge goes all its way through the shipped program: checkout, webhook, sync, refund', async (t) => {
  const desk = openDesk(t);
  const stripe = await openStripe(t);
  writeFileSync(join(desk.home, 'findtoken.yaml'), JSON.stringify({
    server: { port: 0 }, stripe: { secret_key: stripe.secretKey, webhook_secret: stripe.webhookSecret, api_base: stripe.url },
  }));
  await desk.json('accounts', 'create', 'ann@example.com');
  const { key } = await desk.json('keys', 'create', '--name', 'till');
  const daemon = await startServe(desk.home);
  t.teardown(() => daemon.end('SIGKILL'));

  const asked = await fetch(`${daemon.url}/v1/user/credits`, {
    method: 'POST', headers: { authorization: `Bearer ${String(key)}`, 'content-type': 'application/json' },
    body: JSON.stringify({ amount: 20, success_url: 'http://localhost:3000/ok', cancel_url: 'http://localhost:3000/no' }),
  });
  const recharge: unknown = await asked.json();
  t.match(recharge, { status: 'pending', amount: 20, fee: 1.1, credits: 18.9, checkout_url: /^https:/ });
  const [session = ''] = /cs_\w+/.exec(JSON.stringify(recharge)) ?? [];
  const { completed } = stripe.pay(session);
  t.equal((await stripe.deliver(daemon.url, completed, { secret: 'whsec_another' })).status, 400, 'a signature of somebody else');
  t.match(await desk.json('balance'), { balance: 0 });
  t.equal((await stripe.deliver(daemon.url, completed)).status, 200);
  t.equal((await stripe.deliver(daemon.url, completed)).status, 200, 'told twice');
  t.match(await desk.json('balance'), { balance: 18.9 });

  const second = await desk.json('recharge', '10', '--no-wait');
  const [another = ''] = /cs_\w+/.exec(JSON.stringify(second)) ?? [];
  stripe.pay(another);
  t.match(await desk.run(['recharges', 'sync']), { code: 0 }, 'without its message, Stripe is asked');
  t.match(await desk.json('balance'), { balance: 28.35 });

  t.match(await desk.run(['recharges', 'refund', String(second['id']), '--yes']), { code: 0 });
  t.equal(stripe.refunds.length, 1);
  t.match(await desk.json('audit'), { ok: true });
});

t.test('what payments and mails need is loaded when the daemon starts: later its files may be those of another version', async (t) => {
  const desk = openDesk(t);
  const stripe = await openStripe(t);
  const tracer = fileURLToPath(new URL('support/trace-loads.cjs', import.meta.url));
  const cases = [
    // settings, what is loaded of the two
    [{}, []],
    [{ stripe: { secret_key: stripe.secretKey, api_base: stripe.url }, email: { smtp: 'smtp://127.0.0.1:1' } }, ['nodemailer', 'stripe']],
    [{ server: { port: 0, workers: 2 }, stripe: { secret_key: stripe.secretKey, api_base: stripe.url } }, ['stripe', 'stripe', 'stripe']],
  ] as const;
  for (const [settings, expected] of cases) {
    const trace = join(desk.home, 'loads.txt');
    writeFileSync(trace, '');
    writeFileSync(join(desk.home, 'findtoken.yaml'), JSON.stringify({ server: { port: 0 }, ...settings }));
    const daemon = await startServe(desk.home, [], { NODE_OPTIONS: `--require=${tracer}`, TRACE_LOADS: trace });
    t.equal(await daemon.end('SIGTERM'), 0);
    const loaded = readFileSync(trace, 'utf8').split('\n').flatMap((file) => /(nodemailer|stripe)-\w+\.js$/.exec(file)?.[1] ?? []);
    t.same(loaded.sort(), expected, Object.keys(settings).join(' and '));
  }
});
