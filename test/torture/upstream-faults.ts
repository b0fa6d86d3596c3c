/** U: every fault of the table, each as stream and not, each with and without somebody who can stand in. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, codeOf, saidIn, type Received } from './calls.ts';
import { faultTable, oddAddresses, TOKENS, type Expected, type FaultRow } from './fault-table.ts';
import { furnish, startDaemon, type Daemon, type Home, type Program } from './machine.ts';
import { readBooks, type BookedRow, type Books } from './oracle.ts';
import { costOf, PRICE, usageBody } from './script.ts';
import { json, raw, startProvider, type FakeProvider } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

export interface UpstreamFigures {
  readonly faults: number;
  readonly calls: number;
  readonly peakMib: number;
}

/** One fault in one form, alone or with relief: a provider and a model of its own, so that no fault spoils another's health. */
interface Trial {
  readonly row: FaultRow;
  readonly expected: Expected;
  readonly stream: boolean;
  readonly relieved: boolean;
  readonly model: string;
  readonly provider: FakeProvider | undefined;
  readonly url: string;
}

/** Dearer than the price of the faulty ones: the hold must cover it. */
const RELIEF_PICO = { input: 911_000n, cached: 911_000n, output: 1_733_000n };
const RELIEF_PRICE = { input: 0.911, cached_input: 0.911, output: 1.733 };
const RELIEF_TOKENS = { prompt: 777, cached: 0, completion: 11 };
/** Faults at once; the deadlines are short, and a busy machine must still meet them. */
const AT_ONCE = 24;
/** A fault may take the handshake's 5 s, a retry and the deadlines below. */
const LIMIT_MS = 25_000;

/** @param only these numbers of the list; left out: all */
export async function runUpstreamFaults(program: Program, verdicts: Verdicts, only?: readonly string[]): Promise<UpstreamFigures> {
  const canary = await startProvider();
  const relief = await startProvider(json(200, { id: 'r', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'relief' }, finish_reason: 'stop' }], usage: usageBody(RELIEF_TOKENS) }));
  const addresses = await oddAddresses(certificate());
  const table = faultTable(canary).filter(({ id }) => only === undefined || only.includes(id));
  const trials = await trialsOf(table, (row) => (row.address === undefined ? undefined : addresses.urls[row.address]));
  const home = await furnish({ yaml: yamlOf(trials, relief.url), credit: '10000', madeBy: program });
  const daemon = await startDaemon(program, home);
  try {
    const received = await runAll(trials, daemon, home);
    await secondAnswers(daemon, home, trials, verdicts);
    const peakMib = Math.round(daemon.vitals().peakKib / 1024);
    const exit = await daemon.end('SIGTERM');
    const books = readBooks(home.database);
    for (const row of table) {
      const seen = trials.flatMap((trial, at) => (trial.row === row ? [differenceIn(trial, received[at], books)] : [])).filter((text) => text !== '');
      verdicts.equal(row.id, `a provider that ${row.what}`, seen.join('; ') || 'as expected', 'as expected');
    }
    verdicts.equal('U36', 'nothing follows a redirect', canary.requests.length, 0);
    verdicts.equal('U', 'the books after all faults', [...books.breaks, ...(books.openHolds > 0 ? [`${books.openHolds} holds are open`] : [])].join('; ') || 'in order', 'in order');
    verdicts.equal('U', 'the daemon lived through all of it', exit, 0);
    verdicts.that('U', 'its memory stayed below 350 MiB', peakMib < 350, `${peakMib} MiB`);
    return { faults: table.length, calls: trials.length, peakMib };
  } finally {
    await daemon.end('SIGKILL');
    await Promise.all([canary.close(), relief.close(), ...trials.map(({ provider }) => provider?.close())]);
    addresses.close();
    home.remove();
  }
}

async function trialsOf(table: readonly FaultRow[], addressOf: (row: FaultRow) => string | undefined): Promise<readonly Trial[]> {
  const trials: Trial[] = [];
  for (const [at, row] of table.entries()) {
    for (const stream of [false, true]) {
      for (const relieved of [false, true]) {
        const provider = row.answer === undefined ? undefined : await startProvider(row.answer);
        const model = `fault-${at}${stream ? '-stream' : ''}${relieved ? '-relieved' : ''}`;
        trials.push({ row, expected: stream ? row.stream : row.whole, stream, relieved, model, provider, url: addressOf(row) ?? provider?.url ?? '' });
      }
    }
  }
  // U35 has two requests of its own.
  for (const stream of [false, true]) {
    const provider = await startProvider();
    trials.push({ row: TWICE, expected: TWICE.whole, stream, relieved: false, model: `twice${stream ? '-stream' : ''}`, provider, url: provider.url });
  }
  return trials;
}

const TWICE: FaultRow = { id: 'U35', what: 'sends a second answer that nobody asked for', whole: { sends: 2, alone: '', relief: false }, stream: { sends: 2, alone: '', relief: false } };

function yamlOf(trials: readonly Trial[], reliefUrl: string): Readonly<Record<string, unknown>> {
  const providers = trials.map(({ model, url }) => [`at-${model}`, { base_url: url, api_key: 'good-key' }]);
  const models = trials.map(({ model }) => [model, { provider: `at-${model}`, price: PRICE }]);
  const equivalents = trials.filter(({ relieved }) => relieved).map(({ model }) => [model, ['relief-chat']]);
  return {
    routing: { retries: 1, backoff: ['20ms'], timeout: '2s', stream_timeout: '2s', deadline: '12s', health_interval: '1h' },
    providers: { ...Object.fromEntries(providers), relief: { base_url: reliefUrl, api_key: 'good-key' } },
    models: { ...Object.fromEntries(models), 'relief-chat': { provider: 'relief', upstream: 'm', price: RELIEF_PRICE } },
    equivalents: Object.fromEntries(equivalents),
  };
}

async function runAll(trials: readonly Trial[], daemon: Daemon, home: Home): Promise<readonly Received[]> {
  const received: Received[] = Array.from<Received>({ length: trials.length });
  const queue = trials.entries();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const [at, { stream, model, row }] of queue) {
      if (row === TWICE) continue;
      received[at] = await call({ url: daemon.url, key: home.keys[0] ?? '', model, stream, tag: model, signal: AbortSignal.timeout(LIMIT_MS) });
    }
  }));
  return received;
}

/** What differs from what must come of a trial; empty where nothing does. */
function differenceIn({ expected, stream, relieved, provider, model, row }: Trial, received: Received | undefined, books: Books): string {
  if (received === undefined) return `${model} was not tried`;
  const differences: string[] = [];
  // Its port was somebody else's before: what still comes for that one is no attempt of ours.
  const sends = provider?.requests.filter(({ body }) => typeof body === 'object' && body !== null && 'model' in body && body.model === model).length ?? 0;
  if (sends !== expected.sends) differences.push(`asked ${sends} times, expected ${expected.sends}`);
  const booked = books.rows.get(received.id);
  const seen = outcomeOf(received, booked);
  const wanted = relieved && expected.relief ? '200 relief' : expected.alone;
  if (seen !== wanted) differences.push(`came to ${seen}, expected ${wanted}`);
  const charge = chargeIn(seen, booked);
  if (charge !== '') differences.push(charge);
  if (received.text.includes('good-key')) differences.push('the answer shows the key');
  if (received.headers['cache-control'] !== 'no-store') differences.push('it may be stored');
  return differences.length === 0 ? '' : `${row.id} ${stream ? 'streamed' : 'whole'}${relieved ? ' with relief' : ''}: ${differences.join(', ')}`;
}

function outcomeOf(received: Received, booked: BookedRow | undefined): string {
  if (received.status === 200 && received.whole) return saidIn(received) === 'relief' ? '200 relief' : `200 ${booked?.origin ?? 'unbooked'}`;
  if (received.status === 200) return `in-band ${codeOf(received) || 'nothing'}`;
  return `${received.status} ${codeOf(received)}`;
}

/** Nobody pays for a failure; an answer costs what its tokens cost at the price of who answered. */
function chargeIn(seen: string, booked: BookedRow | undefined): string {
  if (booked === undefined) return 'it is not in the books';
  const { cost, hold, shortfall } = booked;
  if (shortfall !== 0n || cost > hold) return `it cost ${cost} with a hold of ${hold}`;
  if (!seen.startsWith('200')) return cost === 0n ? '' : `a failure cost ${cost}`;
  if (seen === '200 estimated') return cost > 0n ? '' : 'an answer was free';
  const due = seen === '200 relief' ? costOf(RELIEF_TOKENS, RELIEF_PICO) : costOf(TOKENS);
  return cost === due ? '' : `it cost ${cost}, its tokens make ${due}`;
}

/** U35: on a connection kept alive, a second answer lies ready for the next request, which must not get it. */
async function secondAnswers(daemon: Daemon, home: Home, trials: readonly Trial[], verdicts: Verdicts): Promise<void> {
  const evil = '{"choices":[{"index":0,"message":{"role":"assistant","content":"evil"},"finish_reason":"stop"}]}';
  const answer = (body: string) => `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const seen: string[] = [];
  for (const { model, stream, provider, row } of trials) {
    if (row !== TWICE || provider === undefined) continue;
    const ask = async () => saidIn(await call({ url: daemon.url, key: home.keys[0] ?? '', model, stream, tag: 'twice' }));
    provider.next(raw(answer(evil.replace('evil', 'good')) + answer(evil), 'leave'));
    seen.push(await ask());
    seen.push((await ask()).slice(0, 5));
  }
  verdicts.equal('U35', 'a provider that sends a second answer that nobody asked for', seen.join(' '), 'good echo: good echo:');
}

/** A certificate of our own making. */
function certificate(): { readonly key: string; readonly cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'findtoken-tls-'));
  const [keyPath, certPath] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=torture', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyPath, '-out', certPath], { stdio: 'ignore' });
  const made = { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certPath, 'utf8') };
  rmSync(folder, { recursive: true, force: true });
  return made;
}
